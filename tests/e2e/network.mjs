// The reference servers, from their own test environment: a PLC directory, a PDS, and the AppView with what it needs.
import { AtpAgent } from '@atproto/api'
import { TestNetwork } from '@atproto/dev-env'

const ADMIN = `Basic ${Buffer.from('admin:admin-pass').toString('base64')}`

export async function startNetwork() {
  const network = await TestNetwork.create({ dbPostgresSchema: 'real_parts' })
  return {
    pds: network.pds.url,
    plc: network.plc.url,
    appview: network.bsky.url,
    repos: `ws://localhost:${network.pds.port}`,
    /// The key that an account signs with, from its DID document.
    signingKey: (did) => network.pds.ctx.idResolver.did.resolveAtprotoKey(did),
    close: () => network.close(),
  }
}

/// Of every account.
export const PASSWORD = 'a-password'

/// Somebody with an account at the PDS.
export class Account {
  #agent

  static async create(pds, name) {
    const account = new Account()
    account.pds = pds
    account.#agent = new AtpAgent({ service: pds })
    await account.#agent.createAccount({ email: `${name}@example.test`, handle: `${name}.test`, password: PASSWORD })
    account.did = account.#agent.session.did
    return account
  }

  /// Writes a new record; its URI.
  async create(collection, record, rkey) {
    const body = { repo: this.did, collection, rkey, record: { $type: collection, ...record } }
    const { data } = await this.#agent.com.atproto.repo.createRecord(body)
    return data.uri
  }

  async get(collection, rkey) {
    return (await this.#agent.com.atproto.repo.getRecord({ repo: this.did, collection, rkey })).data.value
  }

  /// Writes a record over another.
  async put(collection, rkey, record) {
    const body = { repo: this.did, collection, rkey, record: { $type: collection, ...record } }
    return (await this.#agent.com.atproto.repo.putRecord(body)).data
  }

  /// Writes several posts in one commit; their URIs.
  async postTogether(texts) {
    const writes = texts.map((text) => ({
      $type: 'com.atproto.repo.applyWrites#create',
      collection: 'app.bsky.feed.post',
      value: { $type: 'app.bsky.feed.post', text, createdAt: new Date().toISOString() },
    }))
    const { data } = await this.#agent.com.atproto.repo.applyWrites({ repo: this.did, writes })
    return data.results.map(({ uri }) => uri)
  }

  async delete(uri) {
    const [collection, rkey] = uri.split('/').slice(-2)
    await this.#agent.com.atproto.repo.deleteRecord({ repo: this.did, collection, rkey })
  }

  async post(text, more = {}) {
    return this.create('app.bsky.feed.post', { text, createdAt: new Date().toISOString(), ...more })
  }

  async deactivate() {
    await this.#agent.com.atproto.server.deactivateAccount({})
  }

  async activate() {
    await this.#agent.com.atproto.server.activateAccount()
  }

  /// The administrator of the PDS takes the account down, or lets it come back.
  async takedown(applied) {
    const subject = { $type: 'com.atproto.admin.defs#repoRef', did: this.did }
    await this.#administer('com.atproto.admin.updateSubjectStatus', { subject, takedown: { applied, ref: 'e2e' } })
  }

  /// The administrator of the PDS deletes the account.
  async end() {
    await this.#administer('com.atproto.admin.deleteAccount', { did: this.did })
  }

  async #administer(method, body) {
    const headers = { authorization: ADMIN, 'content-type': 'application/json' }
    const response = await fetch(`${this.pds}/xrpc/${method}`, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`${method} was answered ${response.status}: ${await response.text()}`)
  }

  /// A page of a feed as this account sees it in its app: through its PDS, which asks the AppView.
  async getFeed(params) {
    return (await this.#agent.app.bsky.feed.getFeed(params)).data
  }

  /// What an app tells a feed generator of its reader.
  async interact(feedDid, ...interactions) {
    await this.#agent.withProxy('bsky_fg', feedDid).app.bsky.feed.sendInteractions({ interactions })
  }
}
