// The clients of Node.js: `client.mjs http|fetch|net URL` prints what clients.py describes.
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'

const TIMEOUT_MS = 1500
const names = {
  ECONNREFUSED: 'refused', ECONNRESET: 'reset', UND_ERR_SOCKET: 'reset', EPIPE: 'reset', ENOTFOUND: 'unresolved', EAI_AGAIN: 'unresolved',
  ETIMEDOUT: 'timeout', UND_ERR_HEADERS_TIMEOUT: 'timeout', TimeoutError: 'timeout', 23: 'timeout',
}

function request(url) {
  const agent = url.startsWith('https') ? https : http
  return new Promise((resolve, reject) => {
    const sent = agent.get(url, (response) => {
      let body = ''
      response.setEncoding('ascii').on('data', (part) => (body += part)).on('end', () => resolve(body)).on('error', reject)
    })
    sent.on('error', reject)
    setTimeout(() => sent.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' })), TIMEOUT_MS).unref()
  })
}

async function fetched(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })
  return response.text()
}

function raw(url) {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: hostname, port, timeout: TIMEOUT_MS })
    let answer = ''
    socket.on('error', reject).on('timeout', () => socket.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' })))
    socket.on('data', (part) => (answer += part)).on('end', () => resolve(answer.split('\r\n\r\n')[1]))
    socket.write(`GET / HTTP/1.0\r\nHost: ${hostname}\r\n\r\n`)
  })
}

const [kind, url] = process.argv.slice(2)
try {
  console.log(JSON.stringify({ body: await { http: request, fetch: fetched, net: raw }[kind](url) }))
} catch (failure) {
  // With several addresses, each has an error.
  const inner = failure.cause?.errors?.[0] ?? failure.errors?.[0] ?? failure.cause ?? failure
  const code = inner.code ?? inner.name
  console.log(JSON.stringify({ error: names[code] ?? names[failure.name] ?? String(failure) }))
}
process.exit(0)
