// Loaded before everything else (`node --import`): whoever listens without naming an address, as the reference servers do, listens on
// 127.0.0.1 and not on all interfaces; and nobody connects to another machine.
import net from 'node:net'

const LOOPBACK = '127.0.0.1'
const listen = net.Server.prototype.listen

net.Server.prototype.listen = function (...args) {
  const [first, second] = args
  const isPort = typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))
  if (isPort && typeof second === 'string') args[1] = LOOPBACK
  else if (isPort) args.splice(1, 0, LOOPBACK)
  else if (first === undefined || typeof first === 'function') args.unshift(0, LOOPBACK)
  else if (typeof first === 'object' && first.path === undefined && first.fd === undefined && !first._handle && !first.handle)
    args[0] = { ...first, host: LOOPBACK }
  return listen.apply(this, args)
}

const connect = net.Socket.prototype.connect

net.Socket.prototype.connect = function (...args) {
  const [first] = Array.isArray(args[0]) ? args[0] : args
  const host = typeof first === 'object' ? first.host : args[1]
  if (typeof host === 'string' && !['localhost', LOOPBACK, '::1'].includes(host)) {
    console.log(`# refused: a connection to ${host}`)
    process.nextTick(() => this.destroy(new Error(`${host} is not this machine`)))
    return this
  }
  return connect.apply(this, args)
}
