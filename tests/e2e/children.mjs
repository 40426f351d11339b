// The programs beside this one: each is started, says where it listens, and is stopped.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const START_MILLIS_MAX = 20_000
const STOP_MILLIS_MAX = 10_000

/// Starts a program; done when it has printed a line that begins with `listening`.
async function start(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise((done) => child.once('close', (code, signal) => done({ code, signal })))
  const said = []
  child.stderr.setEncoding('utf8').on('data', (text) => said.push(text))
  const listening = new Promise((done, failed) => {
    const fail = (why) => failed(new Error(`${command} ${why}:\n${said.join('')}`))
    const timer = setTimeout(() => fail('said nothing'), START_MILLIS_MAX)
    createInterface(child.stdout).on('line', (line) => line.startsWith('listening') && done(line))
    child.once('error', (error) => fail(error.message))
    ended.then(({ code, signal }) => fail(`ended with ${code ?? signal}`)).finally(() => clearTimeout(timer))
  })
  const stop = async (signal = 'SIGTERM') => {
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MILLIS_MAX)
    const end = await ended
    clearTimeout(timer)
    return end
  }
  try {
    return { line: await listening, said: () => said.join(''), stop, alive: () => child.exitCode === null && child.signalCode === null }
  } catch (error) {
    await stop('SIGKILL')
    throw error
  }
}

/// The bridge from a PDS to Jetstream.
export async function startBridge(repos) {
  const program = fileURLToPath(new URL('../../tools/bridge/bridge.mjs', import.meta.url))
  const child = await start(process.execPath, [program, '--repos', repos, '--listen', '127.0.0.1:0'])
  return { ...child, address: child.line.split(' ')[1] }
}

export const PATHS = { v1: '/subscribe', v2: '/xrpc/network.bsky.jetstream.subscribeEvents' }

/// The engine, with a data directory of its own that outlives its restarts.
export class Engine {
  #dir = mkdtempSync(join(tmpdir(), 'engine-'))
  #child
  #args

  constructor({ dialect, bridge, plc, publicUrl, publisherDid }) {
    this.#args = [
      ...['serve', '--upstream', `ws://${bridge}${PATHS[dialect]}`, '--zstd', 'off', '--data-dir', this.#dir],
      ...['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'],
      ...['--plc-directory', plc, '--allow-loopback'],
      ...['--public-url', publicUrl, '--publisher-did', publisherDid],
    ]
  }

  async start(...more) {
    this.#child = await start(process.env.ATRARIUM_BIN, [...this.#args, ...more])
    const [, http, admin] = /http=(\S+) admin=(\S+)/.exec(this.#child.line)
    Object.assign(this, { http: `http://${http}`, admin: `http://${admin}` })
  }

  async stop(signal) {
    return this.#child?.stop(signal)
  }

  /// A counter of `/metrics`, by the values of its one label.
  async counter(name) {
    const text = await (await fetch(`${this.admin}/metrics`)).text()
    const lines = [...text.matchAll(/^(\w+)\{\w+="(\w+)"\} (\d+)$/gm)].filter(([, found]) => found === name)
    return Object.fromEntries(lines.map(([, , label, value]) => [label, Number(value)]))
  }

  /// Runs another command of the engine on the same data directory, to its end. Gives its exit code and what it printed.
  async run(command, args, env = {}) {
    const child = spawn(process.env.ATRARIUM_BIN, [command, '--data-dir', this.#dir, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    let [printed, complained] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text) => (printed += text))
    child.stderr.setEncoding('utf8').on('data', (text) => (complained += text))
    const code = await new Promise((done, failed) => child.once('close', done).once('error', failed))
    return { code, printed, complained }
  }

  said() {
    return this.#child?.said() ?? ''
  }

  remove() {
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
