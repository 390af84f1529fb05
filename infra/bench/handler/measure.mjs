// Measures the Node.js chaos handler in one process, in turns with the plain handler. Prints JSON, for speed.py.
import { fileURLToPath } from 'node:url'
import { dirname } from 'node:path'
import { FAULTS, HOUR_MS } from './faults.mjs'
import { handler as plain } from './plain.mjs'

const CALLS = 20_000
const TURNS = 9
const context = { awsRequestId: 'request', invokedFunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:checkout' }
const event = { rawPath: '/checkout' }

async function start(until) {
  process.env.LAMBDA_TASK_ROOT = dirname(fileURLToPath(import.meta.url))
  process.env.SNAPBACK_HANDLER = 'plain.handler'
  process.env.SNAPBACK_HANDLER_FAULTS = JSON.stringify({ until, experiment: 'e', run: 'r', faults: FAULTS })
  const { handler } = await import(`../../handler/nodejs/snapback_handler/index.mjs?${until}`)
  return handler
}

// CPU time, which other processes of the machine do not change.
function nanoseconds(call) {
  const began = process.cpuUsage()
  for (let at = 0; at < CALLS; at++) call(event, context)
  const { user, system } = process.cpuUsage(began)
  return ((user + system) * 1000) / CALLS
}

const now = Date.now()
const active = await start(now + HOUR_MS)
const expired = await start(now + 1000)
while (Date.now() < now + 1000) await new Promise((resolve) => setTimeout(resolve, 50))
const turns = { plain: [], active: [], expired: [] }
for (let turn = 0; turn < TURNS; turn++) {
  for (const [name, call] of Object.entries({ plain, active, expired })) turns[name].push(nanoseconds(call))
}
const best = Object.entries(turns).map(([name, times]) => [name, Math.min(...times)])
console.log(JSON.stringify(Object.fromEntries(best)))
