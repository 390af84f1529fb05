// The clients of Node.js: `http`, `fetch`, `net` and `sdk`. clients.py describes what it reads and writes.
import { createRequire } from 'node:module'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import readline from 'node:readline'
import tls from 'node:tls'

const TIMEOUT_MS = Number(process.env.TIMEOUT_MS)
const names = {
  ECONNREFUSED: 'refused', ECONNRESET: 'reset', EPIPE: 'reset', ENOTFOUND: 'notFound', EAI_AGAIN: 'tryAgain', ETIMEDOUT: 'timeout', TimeoutError: 'timeout',
}
const kept = new Map()

// Returns what is kept under the key, or makes it.
function keep(key, make) {
  if (key === '-') return make()
  if (!kept.has(key)) kept.set(key, make())
  return kept.get(key)
}

const late = () => Object.assign(new Error('late'), { code: 'ETIMEDOUT' })

function request(key, url) {
  const module = url.protocol === 'https:' ? https : http
  const agent = keep(key, () => new module.Agent({ keepAlive: key !== '-' }))
  return new Promise((resolve, reject) => {
    const sent = module.get(url, { agent }, (response) => {
      let body = ''
      response.setEncoding('ascii').on('data', (part) => (body += part)).on('end', () => resolve(body)).on('error', reject)
    })
    sent.on('error', reject)
    setTimeout(() => sent.destroy(late()), TIMEOUT_MS).unref()
  })
}

// fetch can lose its signal when memory is collected (nodejs/undici#4984), so a timer ends it, too.
function fetched(_, url) {
  const body = fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) }).then((response) => response.text())
  return Promise.race([body, new Promise((_, reject) => setTimeout(() => reject(late()), TIMEOUT_MS + 100).unref())])
}

function raw(key, url) {
  const place = { host: url.hostname, port: url.port, servername: url.hostname }
  const socket = keep(key, () => (url.protocol === 'https:' ? tls : net).connect(place))
  return new Promise((resolve, reject) => {
    let answer = ''
    const timer = setTimeout(() => socket.destroy(late()), TIMEOUT_MS)
    socket.removeAllListeners('data').on('error', reject).on('end', () => reject(new Error('ended')))
    socket.on('data', (part) => {
      answer += part
      const [head, body] = answer.split('\r\n\r\n')
      if (body?.length !== Number(/length: (\d+)/i.exec(head)?.[1])) return
      clearTimeout(timer)
      resolve(body)
      if (key === '-') socket.destroy()
    })
    socket.write(`GET / HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`)
  })
}

async function listed(key, url) {
  const { DynamoDBClient, ListTablesCommand } = createRequire(`${process.env.NODE_PACKAGES}/`)('@aws-sdk/client-dynamodb')
  const client = keep(key, () => new DynamoDBClient({
    endpoint: url.href, region: 'eu-central-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' }, maxAttempts: 1,
    requestHandler: { connectionTimeout: TIMEOUT_MS, requestTimeout: TIMEOUT_MS, throwOnRequestTimeout: true },
  }))
  const tables = await client.send(new ListTablesCommand({}))
  if (key === '-') client.destroy()
  return tables.TableNames[0]
}

function nameOf(failure) {
  const chain = [failure, failure.cause, ...(failure.errors ?? []), ...(failure.cause?.errors ?? [])].filter(Boolean)
  const found = chain.flatMap((one) => [names[one.code], names[one.name]]).find(Boolean)
  return found ?? chain.map((one) => `${one.code} ${one}`).join(' < ').replaceAll('\n', ' ')
}

const clients = { http: request, fetch: fetched, net: raw, sdk: listed }
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [id, client, key, url] = line.split(' ')
  const began = performance.now()
  const report = (outcome, text) => console.log(`${id} ${Math.round(performance.now() - began)} ${outcome} ${text}`)
  clients[client](key, new URL(url)).then((body) => report('body', body), (failure) => report('error', nameOf(failure)))
}
process.exit(0)
