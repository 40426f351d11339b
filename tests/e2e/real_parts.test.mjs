// The engine among the reference servers: what people write into their repositories shows in the AppView's own getFeed.
//
//   accounts ──► PDS ──► AppView ──► getFeed ──► reader
//                 │         └─► proxy (writes down) ──► engine
//                 └─► bridge (Jetstream v1, v2) ──────────┘
//
// The network is started once. Each dialect has its own engine, community and people.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import net from 'node:net'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifyJwt } from '@atproto/xrpc-server'
import { Engine, PATHS, startBridge } from './children.mjs'
import { Feed, timings } from './feed.mjs'
import { Account, PASSWORD, startNetwork } from './network.mjs'
import { Proxy } from './proxy.mjs'

const CONFIG = 'net.atrarium.community.config'
const MEMBERSHIP = 'net.atrarium.community.membership'
const ACTION = 'net.atrarium.moderation.action'
const GENERATOR = 'app.bsky.feed.generator'
const SKELETON = '/xrpc/app.bsky.feed.getFeedSkeleton'

const now = () => new Date().toISOString()
const rkeyOf = (uri) => uri.split('/').at(-1)

let network
let bridge
let hasFailed = false
afterEach((context) => {
  hasFailed ||= !context.passed
})

before(async () => {
  const started = performance.now()
  network = await startNetwork()
  bridge = await startBridge(network.repos)
  console.log(`# the network stands after ${((performance.now() - started) / 1000).toFixed(1)} s`)
})

after(async () => {
  console.log('# seconds from the answer of the PDS until the engine and the AppView showed it')
  console.table(timings)
  await bridge?.stop()
  if (hasFailed) console.log(`# the bridge said:\n${bridge?.said()}`)
  await network?.close()
})

test('every server here listens on 127.0.0.1 alone', () => {
  const servers = process._getActiveHandles().filter((handle) => handle instanceof net.Server)
  assert.ok(servers.length >= 5)
  for (const server of servers) assert.equal(server.address().address, '127.0.0.1')
})

for (const dialect of ['v1', 'v2']) {
  describe(`over Jetstream ${dialect}`, { concurrency: false }, () => {
    const people = {}
    const proxy = new Proxy()
    const id = randomBytes(4).toString('hex')
    const tag = `#atrarium_${id}`
    let [engine, feed, community] = []

    const config = () => ({
      name: `The ${dialect} garden`,
      hashtag: tag,
      stage: 'community',
      feedMix: { own: 100, parent: 0, global: 0 },
      moderators: [people.moderator.did],
      createdAt: now(),
    })
    const join = (who) => who.create(MEMBERSHIP, { community, role: 'member', joinedAt: now(), active: true })
    const act = (who, action, target) => who.create(ACTION, { action, target, community, createdAt: now() })

    before(async () => {
      for (const name of ['owner', 'moderator', 'alice', 'bob', 'carol', 'stranger', 'publisher', 'reader'])
        people[name] = await Account.create(network.pds, `${name}-${dialect}`)
      await proxy.start()
      const { address } = bridge
      engine = new Engine({ dialect, bridge: address, plc: network.plc, publicUrl: proxy.url, publisherDid: people.publisher.did })
      await engine.start()
      proxy.target = engine.http
      community = await people.owner.create(CONFIG, config())
      await published({ create: 1, steps: [`+ ${id}  The ${dialect} garden`] })
      const uri = `at://${people.publisher.did}/${GENERATOR}/${id}`
      feed = new Feed({ uri, dialect, appview: network.appview, proxy })
      for (const name of ['alice', 'bob', 'carol']) people[name].membership = await join(people[name])
    })

    after(async () => {
      await engine?.stop()
      if (hasFailed) console.log(`# the engine over ${dialect} said:\n${engine?.said()}`)
      engine?.remove()
      proxy.stop()
      printAsked(dialect, proxy.seen)
    })

    const serviceDid = () => `did:web:${new URL(proxy.url).host.replace(':', '%3A')}`
    const outside = () => [
      ...['--public-url', proxy.url, '--publisher-did', people.publisher.did],
      ...['--plc-directory', network.plc, '--allow-loopback', '--json'],
    ]
    const publish = async (...more) => {
      const args = [...outside(), ...more]
      const { code, printed, complained } = await engine.run('publish', args, { ATRARIUM_PUBLISHER_PASSWORD: PASSWORD })
      assert.equal(code, 0, complained)
      return JSON.parse(printed)
    }
    /// Publishes as soon as the log says that this is to be done, and nothing else. Gives what was done.
    const published = async (wanted) => {
      const until = performance.now() + 10_000
      for (;;) {
        const { create, update, delete: removed, steps } = await publish('--dry-run')
        const told = { create, update, delete: removed, steps }
        try {
          assert.deepEqual(told, { create: 0, update: 0, delete: 0, ...wanted })
        } catch (error) {
          // The log may not have it yet, or still hold a community of another test, which is over.
          if (performance.now() > until) throw error
          await sleep(50)
          continue
        }
        const done = await publish()
        assert.deepEqual([done.done, done.stopped], [steps.length, null])
        return
      }
    }

    test('what was published is found as it should be, and follows the config', async () => {
      const { create, update, delete: removed, unchanged, points } = await publish()
      assert.deepEqual({ create, update, removed, unchanged, points }, { create: 0, update: 0, removed: 0, unchanged: 1, points: 0 })
      await people.owner.put(CONFIG, rkeyOf(community), { ...config(), name: 'Another name', description: 'What grows' })
      await published({ update: 1, steps: [`~ ${id}  Another name  (description, displayName)`] })
      const record = await people.publisher.get(GENERATOR, id)
      assert.equal(record.displayName, 'Another name')
      assert.equal(record.did, serviceDid())
    })

    test('the doctor finds nothing wrong', async () => {
      const upstream = ['--upstream', `ws://${bridge.address}${PATHS[dialect]}`]
      const examined = engine.run('doctor', [...outside(), ...upstream])
      // The stream must move meanwhile.
      const moving = setInterval(() => people.stranger.post('hello'), 200)
      const { printed } = await examined.finally(() => clearInterval(moving))
      const failed = JSON.parse(printed).checks.filter((check) => !check.ok)
      assert.deepEqual(failed, [])
    })

    test('the engine serves the DID that its feed names', async () => {
      const did = await (await fetch(`${proxy.url}/.well-known/did.json`)).json()
      assert.equal(did.id, serviceDid())
      assert.deepEqual(did.service, [{ id: '#bsky_fg', type: 'BskyFeedGenerator', serviceEndpoint: proxy.url }])
    })

    test('the AppView takes the feed generator for online and valid', async () => {
      const found = await feed.generator()
      assert.equal(found.view.did, serviceDid())
      assert.ok(found.isOnline && found.isValid)
    })

    test("members' posts show in order, page by page, logged out and logged in; others' do not", async () => {
      const { alice, bob, owner, stranger, reader } = people
      const facets = [
        { index: { byteStart: 0, byteEnd: 3 }, features: [{ $type: 'app.bsky.richtext.facet#tag', tag: tag.slice(1) }] },
      ]
      const others = [
        await stranger.post(`not a member ${tag}`),
        await alice.post('no tag'),
        await alice.post(`${tag}0 is longer`),
      ]
      const posts = [
        await alice.post(`one ${tag}`),
        await bob.post(`(${tag}) two`),
        await owner.post(`three ${tag}, from the owner`),
        await alice.post('four, by its tags alone', { tags: [tag.slice(1)] }),
        await bob.post('five, by its facet alone', { facets }),
        await alice.post(`six <&> "${tag}"`),
        await bob.post(`seven ${tag}`),
      ]
      await feed.shows('first posts', ...posts)
      await feed.hides('posts of others', ...others)
      const expected = posts.toReversed()
      for (const limit of [2, 3, 50])
        for (const who of [undefined, reader]) {
          const pages = await feed.pages(limit, who)
          assert.deepEqual(pages.flat(), expected, `limit ${limit}, ${who ? 'logged in' : 'logged out'}`)
          assert.ok(pages.slice(0, -1).every((page) => page.length === limit), 'every page but the last is full')
        }
    })

    test('a hidden post goes, and comes back; a stranger hides nothing', async () => {
      const [kept, hidden] = [await people.alice.post(`to stay ${tag}`), await people.bob.post(`to be hidden ${tag}`)]
      await feed.shows('posts', kept, hidden)
      await act(people.stranger, 'hide_post', kept)
      await act(people.moderator, 'hide_post', hidden)
      await feed.becomes('hide_post', new Map([[hidden, false], [kept, true]]))
      await act(people.moderator, 'unhide_post', hidden)
      await feed.shows('unhide_post', hidden)
      const again = await act(people.owner, 'hide_post', hidden)
      await feed.hides('hide_post by the owner', hidden)
      await people.owner.delete(again)
      await feed.shows('the action deleted', hidden)
    })

    test('a deleted post goes', async () => {
      const post = await people.alice.post(`to be deleted ${tag}`)
      await feed.shows('a post', post)
      await people.alice.delete(post)
      await feed.hides('delete', post)
    })

    test('an edit that drops the hashtag takes the post out, one that adds it brings it in', async () => {
      const post = await people.alice.post(`to be edited ${tag}`)
      await feed.shows('a post', post)
      const edit = (text) => people.alice.put('app.bsky.feed.post', rkeyOf(post), { text, createdAt: now() })
      await edit('no longer')
      await feed.hides('the hashtag dropped', post)
      await edit(`again ${tag}`)
      await feed.shows('the hashtag back', post)
    })

    test('who leaves takes their posts along, and brings them back', async () => {
      const { alice, bob } = people
      const [of_alice, of_bob] = [await alice.post(`before leaving ${tag}`), await bob.post(`stays ${tag}`)]
      await feed.shows('posts', of_alice, of_bob)
      await alice.delete(alice.membership)
      await feed.becomes('membership deleted', new Map([[of_alice, false], [of_bob, true]]))
      alice.membership = await join(alice)
      await feed.shows('joined again', of_alice)
      const rests = { community, role: 'member', joinedAt: now(), active: false }
      await alice.put(MEMBERSHIP, rkeyOf(alice.membership), rests)
      await feed.hides('membership rests', of_alice)
      await alice.put(MEMBERSHIP, rkeyOf(alice.membership), { ...rests, active: true })
      await feed.shows('membership resumed', of_alice)
    })

    test('who is blocked is gone, and back when unblocked', async () => {
      const post = await people.bob.post(`before the block ${tag}`)
      await feed.shows('a post', post)
      await act(people.moderator, 'block_user', people.bob.did)
      await feed.hides('block_user', post)
      await act(people.moderator, 'unblock_user', people.bob.did)
      await feed.shows('unblock_user', post)
    })

    test('an account that is taken down is gone, and back when that is reversed', async () => {
      const post = await people.bob.post(`before the takedown ${tag}`)
      await feed.shows('a post', post)
      await people.bob.takedown(true)
      await feed.hides('takedown', post)
      await people.bob.takedown(false)
      await feed.shows('takedown reversed', post)
    })

    test('an account that is deactivated is gone, and back when it is activated', async () => {
      const post = await people.alice.post(`before the deactivation ${tag}`)
      await feed.shows('a post', post)
      await people.alice.deactivate()
      await feed.hides('deactivation', post)
      await people.alice.activate()
      await feed.shows('activation', post)
    })

    test('an account that is deleted is gone', async () => {
      const post = await people.carol.post(`before the end ${tag}`)
      await feed.shows('a post', post)
      await people.carol.end()
      await feed.hides('account deleted', post)
    })

    test('posts that came in one commit all show', async () => {
      const texts = [1, 2, 3, 4, 5].map((n) => `${n} of five ${tag}`)
      await feed.shows('five posts of one commit', ...(await people.alice.postTogether(texts)))
    })

    test('a community that becomes invite-only shows the accepted alone', async () => {
      const [of_alice, of_bob] = [await people.alice.post(`accepted ${tag}`), await people.bob.post(`not accepted ${tag}`)]
      await feed.shows('posts', of_alice, of_bob)
      const acceptance = { community, subject: people.alice.did, createdAt: now() }
      await people.moderator.create('net.atrarium.community.acceptance', acceptance)
      await people.owner.put(CONFIG, rkeyOf(community), { ...config(), accessType: 'invite-only' })
      await feed.becomes('invite-only', new Map([[of_alice, true], [of_bob, false]]))
      await people.owner.put(CONFIG, rkeyOf(community), config())
      await feed.shows('open again', of_bob)
    })

    test('a post that came before its membership shows when the membership does', async () => {
      const early = await people.stranger.post(`early ${tag}`)
      const mark = await people.bob.post(`a mark ${tag}`)
      await feed.becomes('a post of no member yet', new Map([[mark, true], [early, false]]))
      await join(people.stranger)
      await feed.shows('late membership', early)
    })

    test('what was shown survives kill -9, and what came meanwhile is read from the cursor', async () => {
      const shown = await feed.now()
      await engine.stop('SIGKILL')
      const meanwhile = await people.alice.post(`meanwhile ${tag}`)
      await assert.rejects(feed.page({ limit: 10 }), 'without the engine the AppView has no feed')
      await engine.start()
      proxy.target = engine.http
      await feed.shows('restart after kill -9', meanwhile, ...shown.engine)
      assert.deepEqual((await feed.pages(50)).flat(), [meanwhile, ...shown.appview])
    })

    test("an app's interactions reach the engine through the PDS", async () => {
      const [item] = (await feed.now()).engine
      await people.reader.interact(serviceDid(), { item, event: 'app.bsky.feed.defs#interactionSeen' })
      const { headers, status } = proxy.seen.findLast(({ path }) => path === '/xrpc/app.bsky.feed.sendInteractions')
      assert.equal(status, 200)
      assert.equal(headers.authorization.claims.iss, people.reader.did)
      assert.equal(headers.authorization.claims.lxm, 'app.bsky.feed.sendInteractions')
    })

    test('who asks is found out: every token of PDS and AppView holds', async () => {
      const before = await engine.counter('atrarium_tokens_total')
      await people.reader.getFeed({ feed: feed.uri, limit: 1 })
      const until = performance.now() + 5000
      let after
      do {
        assert.ok(performance.now() < until, `nobody has judged: ${JSON.stringify(after)}`)
        await sleep(20)
        after = await engine.counter('atrarium_tokens_total')
      } while (after.verified === before.verified)
      assert.deepEqual([after.unknown - before.unknown, after.dropped], [1, 0])
      const refused = Object.entries(await engine.counter('atrarium_tokens_refused_total'))
      assert.ok(refused.length > 30, 'each reason is told')
      assert.deepEqual(refused.filter(([, count]) => count > 0), [])
    })

    test('an account has its quota, whoever forwards its requests; others are not harmed', async () => {
      await engine.stop()
      await engine.start('--rate-feeds-did', '5')
      proxy.target = engine.http
      await feed.shows('a post after another start', await people.alice.post(`after another start ${tag}`))
      const ask = (who) => who.getFeed({ feed: feed.uri, limit: 1 })
      let [answered, refused] = [0]
      while (!refused && answered < 50) await ask(people.reader).then(() => answered++, (error) => (refused = error))
      const log = proxy.seen.slice(-8).map(({ path, status, headers }) => [path, status, headers.authorization?.claims])
      assert.ok(answered >= 5 && refused, `${answered} were answered, then ${refused?.status} ${refused?.message}: ${JSON.stringify(log)}`)
      console.log(`# ${answered} requests of a quota of 5 were answered; then the AppView said ${refused.status} ${refused.error}: ${refused.message}`)
      const { status, headers } = proxy.seen.at(-1)
      assert.deepEqual([status, headers.authorization.claims.iss], [429, people.reader.did])
      await ask(people.stranger)
      await feed.page({ limit: 1 })
    })

    test('a community that is given up loses its record, and the AppView its feed', async () => {
      await people.owner.delete(community)
      await published({ delete: 1, steps: [`- ${id}`] })
      await assert.rejects(people.publisher.get(GENERATOR, id), { error: 'RecordNotFound' })
      await feed.ends()
    })

    test('no frame of the real stream was refused', async () => {
      const status = await (await fetch(`${engine.admin}/status`)).json()
      assert.deepEqual(status.refused ?? {}, {})
      assert.equal(status.upstream.dialect, dialect)
      const gaps = Map.groupBy(status.gaps, ({ reason }) => reason)
      console.log(`# gaps told over ${dialect}:`, Object.fromEntries([...gaps].map(([reason, told]) => [reason, told.length])))
    })

    test('what the AppView asks', async () => {
      const asked = proxy.seen.filter(({ path, headers }) => path === SKELETON && headers['user-agent'] === 'BskyAppView')
      const named = asked.filter(({ headers }) => headers.authorization)
      const nameless = asked.filter(({ headers }) => !headers.authorization)
      assert.ok(named.length > 0 && nameless.length > 0)
      for (const { method, query, headers } of asked) {
        assert.equal(method, 'GET')
        assert.equal(query.feed, feed.uri)
        assert.ok(Number(query.limit) >= 1 && Number(query.limit) <= 100)
        assert.ok(!('cursor' in query) || query.cursor.length > 0)
      }
      for (const { headers, jwt } of named) {
        await verifyJwt(jwt, serviceDid(), 'app.bsky.feed.getFeedSkeleton', network.signingKey)
        const { header, claims } = headers.authorization
        assert.equal(header.alg, 'ES256K')
        assert.ok([people.reader.did, people.stranger.did].includes(claims.iss))
        assert.equal(claims.aud, serviceDid())
        assert.equal(claims.lxm, 'app.bsky.feed.getFeedSkeleton')
        assert.equal(claims.exp - claims.iat, 60)
      }
    })
  })
}

describe('what the reference servers do, which the engine relies on', () => {
  const proxy = new Proxy()
  const skeleton = { answer: undefined }
  let [teller, feed, posts] = []

  /// The AppView's page when the feed generator answers so; an object is sent as JSON.
  const paged = (answer, params = { limit: 2 }) => {
    skeleton.answer = answer
    return feed.page(params)
  }
  const items = (uris) => uris.map((post) => ({ post }))

  before(async () => {
    await proxy.start()
    const did = `did:web:${new URL(proxy.url).host.replace(':', '%3A')}`
    proxy.mischief = (request, response, entry) => {
      const json = (body) => {
        entry.body = JSON.stringify(body)
        response.writeHead(200, { 'content-type': 'application/json' }).end(entry.body)
      }
      if (request.url === '/.well-known/did.json')
        return json({ id: did, service: [{ id: '#bsky_fg', type: 'BskyFeedGenerator', serviceEndpoint: proxy.url }] })
      if (typeof skeleton.answer === 'function') return skeleton.answer(response)
      return json(skeleton.answer)
    }
    teller = await Account.create(network.pds, 'teller')
    posts = [await teller.post('one'), await teller.post('two'), await teller.post('three')]
    const uri = await teller.create(GENERATOR, { did, displayName: 'Facts', createdAt: now() }, 'facts')
    feed = new Feed({ uri, dialect: '', appview: network.appview, proxy })
    skeleton.answer = { feed: items(posts) }
    await feed.shows('posts of a feed without an engine', ...posts)
  })

  after(() => proxy.stop())

  test('the AppView cuts off what exceeds the limit, and hands the cursor on', async () => {
    const page = await paged({ feed: items(posts), cursor: 'next' })
    assert.deepEqual(page.feed.map(({ post }) => post.uri), posts.slice(0, 2))
    assert.equal(page.cursor, 'next')
  })

  test('the AppView drops the cursor of an empty page, and one that is the same again', async () => {
    assert.equal((await paged({ feed: [], cursor: 'next' })).cursor, undefined)
    assert.equal((await paged({ feed: items(posts), cursor: 'same' }, { limit: 2, cursor: 'same' })).cursor, undefined)
  })

  test('the AppView leaves out a post that it does not know', async () => {
    const page = await paged({ feed: items([posts[0], posts[1].replace(rkeyOf(posts[1]), '3aaaaaaaaaa22')]) })
    assert.deepEqual(page.feed.map(({ post }) => post.uri), [posts[0]])
  })

  test('one bad URI, or an answer that is no JSON, fails the whole page', async () => {
    for (const answer of [{ feed: items([posts[0], 'no uri']) }, (response) => response.end('words')])
      await assert.rejects(paged(answer), (error) => error.status >= 500 && error.status < 600)
  })

  test('the AppView gives up after 5 s', async () => {
    const started = performance.now()
    await assert.rejects(paged(() => {}), (error) => error.status >= 500 && error.status < 600)
    const seconds = (performance.now() - started) / 1000
    assert.ok(seconds > 4.5 && seconds < 7, `${seconds} s`)
  })

  test('the PDS refuses a float, and a create on a key that is taken; an identical put makes no commit', async () => {
    const record = { name: 'a', share: 1 }
    await assert.rejects(teller.create('net.atrarium.example', { ...record, share: 0.5 }), { status: 400 })
    await teller.create('net.atrarium.example', record, 'self')
    await assert.rejects(teller.create('net.atrarium.example', record, 'self'), { status: 500 })
    assert.equal((await teller.put('net.atrarium.example', 'self', record)).commit, undefined)
    assert.ok((await teller.put('net.atrarium.example', 'self', { ...record, share: 2 })).commit)
  })
})

const NAMED_HEADERS = ['host', 'connection', 'user-agent', 'authorization']

/// What was asked of the engine, each kind once: who asked, what, and the answers. 502 is the proxy's own, without an engine.
function printAsked(dialect, seen) {
  const kinds = new Map()
  for (const { method, path, query, headers, status } of seen) {
    const { authorization } = headers
    const row = {
      asked: `${method} ${path}`,
      query: Object.keys(query).join(' '),
      'user-agent': headers['user-agent'] ?? '',
      authorization: authorization ? Object.keys(authorization.claims).join(' ') : '',
      'other headers': Object.keys(headers).filter((name) => !NAMED_HEADERS.includes(name)).join(' '),
      status,
    }
    const key = JSON.stringify(row)
    kinds.set(key, { ...row, times: (kinds.get(key)?.times ?? 0) + 1 })
  }
  console.log(`# what was asked of the engine over ${dialect}`)
  console.table([...kinds.values()])
  const authorized = new Map(seen.filter(({ headers }) => headers.authorization).map(({ path, headers }) => [path, headers.authorization]))
  for (const [path, { header, claims }] of authorized) console.log(`# ${path}: ${JSON.stringify(header)} ${JSON.stringify(claims)}`)
}
