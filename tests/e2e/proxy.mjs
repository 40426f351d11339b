// Stands before the engine, at the address that the feed's DID names, and writes down what is asked and what is answered.
import { createServer } from 'node:http'

const HOP_BY_HOP = ['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'content-encoding']

export class Proxy {
  /// Every request with its answer, oldest first.
  seen = []
  /// Where the engine listens.
  target
  /// Answers instead of the engine, where it is set: `(request, response, entry) => …`.
  mischief

  #server = createServer((request, response) => {
    this.#answer(request, response).catch((error) => response.writeHead(502).end(String(error)))
  })

  async start() {
    await new Promise((done) => this.#server.listen(0, '127.0.0.1', done))
    this.url = `http://localhost:${this.#server.address().port}`
  }

  stop() {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #answer(request, response) {
    const url = new URL(request.url, this.url)
    const entry = {
      method: request.method,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: { ...request.headers, ...withClaims(request.headers.authorization) },
      /// The service JWT as it came, to be verified and never printed.
      jwt: request.headers.authorization?.replace('Bearer ', ''),
    }
    this.seen.push(entry)
    if (this.mischief) return this.mischief(request, response, entry)
    // A request that its sender gives up is given up here too.
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const { host, connection, 'content-length': length, 'transfer-encoding': coding, ...headers } = request.headers
    entry.status = 502
    const asked = { method: request.method, headers, signal: gone.signal }
    if (request.method === 'POST') asked.body = await bytes(request)
    const answer = await fetch(new URL(request.url, this.target), asked)
    const body = await bytes(answer.body)
    entry.status = answer.status
    entry.body = body.toString()
    for (const [name, value] of answer.headers) if (!HOP_BY_HOP.includes(name)) response.setHeader(name, value)
    response.writeHead(answer.status).end(body)
  }
}

async function bytes(stream) {
  return Buffer.concat(await Array.fromAsync(stream ?? []))
}

/// A service JWT for people: its header and its claims, without the signature.
function withClaims(authorization) {
  if (!authorization?.startsWith('Bearer ')) return {}
  const [head, claims] = authorization.slice('Bearer '.length).split('.')
  const read = (part) => JSON.parse(Buffer.from(part, 'base64url'))
  return { authorization: { header: read(head), claims: read(claims) } }
}
