// A bridge from the firehose of one PDS (or relay) to Jetstream: what the reference server really sends, in the forms that
// the engine reads.
//
//   com.atproto.sync.subscribeRepos ──► decode (DAG-CBOR, CAR) ──► memory ──► /subscribe                                    v1
//                                                                       └──► /xrpc/network.bsky.jetstream.subscribeEvents  v2
//
//   node tools/bridge/bridge.mjs --repos ws://localhost:2583 [--listen 127.0.0.1:0]
//
// It prints `listening ADDR` when the listener is bound, and stops at SIGTERM. Its packages are those of tests/e2e, which installs them.
// What it speaks is a v2 host's: v1 frames carry the sequence number too, and a cursor below 10^15 is one. Everything is kept, so no
// cursor is ever too old; nothing is compressed (`zstdDictionary` and `compress=true` are refused).
//
// What always holds: sequence numbers are dense; stream times of v1 never repeat, those of v2 are one commit's; what is sent twice is
// sent as it was the first time.
import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { lexToJson } from '@atproto/lex-json'
import { cborToLexRecord, parseDataKey, readCar } from '@atproto/repo'
import { Subscription } from '@atproto/xrpc-server'
import { WebSocketServer } from 'ws'

const REPOS = 'com.atproto.sync.subscribeRepos'
const EVENTS = 'network.bsky.jetstream.subscribeEvents'
const V1_PATH = '/subscribe'
const V2_PATH = `/xrpc/${EVENTS}`
/// From here on a cursor is a moment in microseconds.
const TIME_CURSOR_MIN = 1e15
/// A slower client is cut off.
const BACKLOG_BYTES_MAX = 64 << 20

/// Everything that was ever sent, and who waits for more.
class Reel {
  events = []
  waiting = new Set()
  #micros = 0

  /// A moment that no event has yet: the wall clock, or right after the last one.
  #moment() {
    this.#micros = Math.max(Math.round((performance.timeOrigin + performance.now()) * 1000), this.#micros + 1)
    return this.#micros
  }

  /// Adds the events of one message of the firehose. v2 gives all of them one time.
  add(told) {
    let together
    for (const event of told) {
      const micros = this.#moment()
      together ??= micros
      this.events.push(frames(event, this.events.length + 1, micros, together))
    }
    for (const wake of this.waiting) wake()
  }

  /// The index of the first event from a cursor on.
  from(cursor) {
    if (cursor === undefined || cursor > this.#micros) return this.events.length
    const before = cursor < TIME_CURSOR_MIN ? (event) => event.seq < cursor : (event) => event.micros < cursor
    let [low, high] = [0, this.events.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (before(this.events[middle])) low = middle + 1
      else high = middle
    }
    return low
  }
}

/// One event in both dialects, with what filters ask for. v1 knows no `#sync`.
function frames({ kind, did, commit, told }, seq, micros, together) {
  const v1 = kind === 'sync' ? undefined : { did, time_us: micros, cursor: seq, kind, [kind]: commit ?? told }
  const v2 = { ...(commit ?? { [kind]: told }), did, seq, time: iso(together) }
  return {
    seq,
    micros,
    kind,
    did,
    collection: commit?.collection,
    v1: v1 && escape(JSON.stringify(v1)),
    v2: escape(JSON.stringify({ $type: 'message', payload: { $type: `${EVENTS}#${kind}`, ...sorted(v2) } })),
  }
}

/// `2026-08-11T12:50:55.801900Z`
function iso(micros) {
  return new Date(Math.floor(micros / 1000)).toISOString().replace('Z', `${String(micros % 1000).padStart(3, '0')}Z`)
}

/// The keys of an object, and of every object in it, in the order of the alphabet.
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  )
}

/// Both servers are written in Go, whose JSON escapes these even within strings.
const escape = (json) =>
  json.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)

/// What one message of the firehose tells, operation by operation.
async function tell(message) {
  switch (message.$type) {
    case `${REPOS}#commit`:
      return commits(message)
    case `${REPOS}#identity`:
      return [{ kind: 'identity', did: message.did, told: inner(message) }]
    case `${REPOS}#account`:
      return [{ kind: 'account', did: message.did, told: inner(message) }]
    case `${REPOS}#sync`:
      return [{ kind: 'sync', did: message.did, told: inner(message) }]
    default:
      return []
  }
}

/// The upstream object as Jetstream nests it: without its type.
function inner({ $type, ...told }) {
  return sorted(lexToJson(told))
}

async function commits({ repo: did, rev, ops, blocks }) {
  const car = await readCar(blocks)
  return ops.flatMap(({ action: operation, path, cid }) => {
    const { collection, rkey } = parseDataKey(path)
    const commit = { rev, operation, collection, rkey }
    if (operation === 'delete') return [{ kind: 'commit', did, commit }]
    const bytes = car.blocks.get(cid)
    if (!bytes) {
      console.error(`bridge: ${did}/${path}: the commit lacks its record`)
      return []
    }
    const record = sorted(lexToJson(cborToLexRecord(bytes)))
    return [{ kind: 'commit', did, commit: { ...commit, record, cid: cid.toString() } }]
  })
}

/// What a client wants to see.
class Filter {
  constructor({ collections = [], dids = [], kinds = [] }) {
    this.exact = new Set(collections.filter((name) => !name.endsWith('*')))
    this.prefixes = collections.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1))
    this.dids = new Set(dids)
    this.kinds = new Set(kinds)
  }

  passes({ kind, did, collection }) {
    if (this.kinds.size > 0 && !this.kinds.has(kind)) return false
    if (this.dids.size > 0 && !this.dids.has(did)) return false
    if (kind !== 'commit' || this.exact.size + this.prefixes.length === 0) return true
    return this.exact.has(collection) || this.prefixes.some((prefix) => collection.startsWith(prefix))
  }
}

/// Sends one client what it asked for, from its cursor on and then as it comes.
function serve(reel, socket, dialect, query) {
  let filter = new Filter(
    dialect === 'v1'
      ? { collections: query.getAll('wantedCollections'), dids: query.getAll('wantedDids') }
      : { collections: query.getAll('collections'), dids: query.getAll('dids'), kinds: query.getAll('kinds') },
  )
  let next = reel.from(query.get('cursor') ? Number(query.get('cursor')) : undefined)
  let greeted = dialect === 'v2' || query.get('requireHello') !== 'true'
  const send = () => {
    for (; greeted && next < reel.events.length && socket.readyState === socket.OPEN; next++) {
      const event = reel.events[next]
      if (event[dialect] !== undefined && filter.passes(event)) socket.send(event[dialect])
      if (socket.bufferedAmount > BACKLOG_BYTES_MAX) socket.close(1008, 'ConsumerTooSlow')
    }
  }
  reel.waiting.add(send)
  socket.on('close', () => reel.waiting.delete(send))
  socket.on('error', () => socket.terminate())
  socket.on('message', (data) => {
    if (dialect === 'v2') return socket.close(1008, 'this stream takes no messages')
    try {
      const { type, payload } = JSON.parse(data)
      if (type !== 'options_update') throw new Error(`the type ${type}`)
      filter = new Filter({ collections: payload.wantedCollections, dids: payload.wantedDids })
      greeted = true
      send()
    } catch (error) {
      socket.close(1008, `invalid message: ${error.message}`.slice(0, 100))
    }
  })
  send()
}

/// Why a request is refused before it is a websocket, if it is.
function refusal(url) {
  const { pathname, searchParams } = url
  if (pathname !== V1_PATH && pathname !== V2_PATH) return [404, 'NotFound', `there is nothing at ${pathname}`]
  const cursor = searchParams.get('cursor')
  if (cursor && !/^\d+$/.test(cursor)) return [400, 'InvalidRequest', 'cursor is no number']
  if (searchParams.get('zstdDictionary')) return [400, 'UnknownZstdDictionary', 'this bridge has no dictionary']
  if (searchParams.get('compress') === 'true') return [400, 'InvalidRequest', 'this bridge does not compress']
}

/// Reads `repos` from its beginning, serves Jetstream on `host:port`.
export async function startBridge({ repos, host = '127.0.0.1', port = 0 }) {
  const reel = new Reel()
  const stop = new AbortController()
  let seen = 0
  const firehose = new Subscription({
    service: repos,
    method: REPOS,
    signal: stop.signal,
    getParams: () => ({ cursor: seen }),
    validate: (message) => message,
  })
  const read = (async () => {
    for await (const message of firehose) {
      reel.add(await tell(message))
      seen = message?.seq ?? seen
    }
  })()
  read.catch((error) => {
    if (stop.signal.aborted) return
    console.error('bridge: the firehose ended:', error)
    process.exitCode = 1
    close()
  })

  const sockets = new WebSocketServer({ noServer: true })
  const answer = (status, error, message) => [status, JSON.stringify({ error, message })]
  const server = createServer((request, response) => {
    const [status, body] = answer(...(refusal(new URL(request.url, 'ws://bridge')) ?? [426, 'UpgradeRequired', 'ask for a websocket']))
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  })
  server.on('upgrade', (request, socket, head) => {
    const url = new URL(request.url, 'ws://bridge')
    const refused = refusal(url)
    if (refused) {
      const [status, body] = answer(...refused)
      socket.end(
        `HTTP/1.1 ${status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      )
      return
    }
    const dialect = url.pathname === V1_PATH ? 'v1' : 'v2'
    sockets.handleUpgrade(request, socket, head, (client) => serve(reel, client, dialect, url.searchParams))
  })
  await new Promise((done, failed) => server.once('error', failed).listen(port, host, done))

  function close() {
    stop.abort()
    for (const client of sockets.clients) client.terminate()
    server.close()
    server.closeAllConnections()
  }
  return { address: `${host}:${server.address().port}`, reel, close }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { repos: { type: 'string' }, listen: { type: 'string', default: '127.0.0.1:0' } } })
  if (!values.repos) {
    console.error('usage: node tools/bridge/bridge.mjs --repos ws://HOST:PORT [--listen ADDR:PORT]')
    process.exit(2)
  }
  const [, host, port] = /^(.*):(\d+)$/.exec(values.listen)
  const bridge = await startBridge({ repos: values.repos, host, port: Number(port) })
  console.log(`listening ${bridge.address}`)
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, bridge.close)
}
