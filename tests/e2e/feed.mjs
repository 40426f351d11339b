// One community's feed, as it is read: from the AppView, logged out and logged in, and from the engine behind the proxy.
import assert from 'node:assert/strict'

export const VISIBLE_SECONDS_MAX = 10
const POLL_MILLIS = 25

/// How long each change took to be seen: `{ dialect, what, engine, appview }`, in seconds.
export const timings = []

export class Feed {
  constructor({ uri, dialect, appview, proxy }) {
    Object.assign(this, { uri, dialect, appview, proxy })
  }

  /// A page from the AppView, as somebody sees it who is not logged in.
  async page(params) {
    return this.#ask('app.bsky.feed.getFeed', params)
  }

  /// What the AppView says of the feed itself, once it knows it.
  async generator() {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#ask('app.bsky.feed.getFeedGenerator', {})
      } catch (error) {
        if (tries * POLL_MILLIS > VISIBLE_SECONDS_MAX * 1000) throw error
        await new Promise((done) => setTimeout(done, POLL_MILLIS))
      }
    }
  }

  /// Waits until the AppView does not know the feed any more.
  async ends() {
    const started = performance.now()
    for (;;) {
      const error = await this.#ask('app.bsky.feed.getFeedGenerator', {}).catch((error) => error)
      if (error instanceof Error) return assert.equal(error.status, 400, error.message)
      assert.ok(performance.now() - started < VISIBLE_SECONDS_MAX * 1000, 'the feed is still there')
      await new Promise((done) => setTimeout(done, POLL_MILLIS))
    }
  }

  async #ask(method, params) {
    const query = new URLSearchParams({ feed: this.uri, ...params })
    const response = await fetch(`${this.appview}/xrpc/${method}?${query}`)
    const body = await response.json()
    if (!response.ok) throw Object.assign(new Error(body.message), { status: response.status, body })
    return body
  }

  /// Every page, one after the other, for `reader` (logged out where there is none): the URIs of each.
  async pages(limit, reader) {
    const pages = []
    let cursor
    do {
      const params = { limit, ...(cursor && { cursor }) }
      const page = await (reader ? reader.getFeed({ feed: this.uri, ...params }) : this.page(params))
      pages.push(page.feed.map(({ post }) => post.uri))
      cursor = page.cursor
      assert.ok(pages.length < 100, 'a feed that does not end')
    } while (cursor)
    return pages
  }

  /// What the engine and the AppView show now.
  async now() {
    const before = this.proxy.seen.length
    const { feed } = await this.page({ limit: 100 })
    const asked = this.proxy.seen.slice(before).find(({ path }) => path === '/xrpc/app.bsky.feed.getFeedSkeleton')
    return { engine: JSON.parse(asked.body).feed.map(({ post }) => post), appview: feed.map(({ post }) => post.uri) }
  }

  /// Waits until both show what is expected, and notes the seconds that each took. `expected` maps a URI to whether it is shown.
  async becomes(what, expected) {
    const started = performance.now()
    const took = {}
    const wrong = (uris) => [...expected].filter(([uri, shown]) => uris.includes(uri) !== shown)
    for (;;) {
      let shown
      try {
        shown = await this.now()
      } catch (error) {
        shown = { error }
      }
      const seconds = (performance.now() - started) / 1000
      for (const who of ['engine', 'appview']) if (shown[who] && wrong(shown[who]).length === 0) took[who] ??= seconds
      if (took.engine !== undefined && took.appview !== undefined) break
      if (seconds > VISIBLE_SECONDS_MAX) {
        const left = shown.error ?? JSON.stringify({ engine: wrong(shown.engine), appview: wrong(shown.appview) })
        assert.fail(`${what}: not seen within ${VISIBLE_SECONDS_MAX} s; what is otherwise: ${left}`)
      }
      await new Promise((done) => setTimeout(done, POLL_MILLIS))
    }
    timings.push({ dialect: this.dialect, what, engine: took.engine.toFixed(2), appview: took.appview.toFixed(2) })
  }

  async shows(what, ...uris) {
    await this.becomes(what, new Map(uris.map((uri) => [uri, true])))
  }

  async hides(what, ...uris) {
    await this.becomes(what, new Map(uris.map((uri) => [uri, false])))
  }
}
