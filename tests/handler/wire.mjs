// Reads the samples of the wire format with the Node.js handler, and prints the results as JSON, for test_wire.py.
import { readFileSync } from 'node:fs'
import { compiled } from '../../infra/handler/nodejs/snapback_handler/conditions.mjs'
import { seeded } from '../../infra/handler/nodejs/snapback_handler/dice.mjs'
import { between } from '../../infra/handler/nodejs/snapback_handler/faults.mjs'
import { parse, share } from '../../infra/handler/nodejs/snapback_handler/orders.mjs'

const samples = JSON.parse(readFileSync(process.argv[2], 'utf8'))

async function readOrders({ text }) {
  try {
    const { faults, ignored } = await parse(text)
    return { kinds: faults.map(({ kind }) => kind), ignored: ignored.length }
  } catch {
    return { refused: true }
  }
}

function roll({ seed, percentages, span, invocations }) {
  const next = seeded(seed, percentages.length)
  return invocations.map(() => {
    const rolls = next()
    const triggered = rolls.flatMap(({ part }, at) => (part < share(percentages[at]) ? [at] : []))
    return { triggered, delay: between(...span, rolls[2]) }
  })
}

console.log(
  JSON.stringify({
    orders: await Promise.all(samples.orders.map(readOrders)),
    conditions: await Promise.all(samples.conditions.map(async ({ condition }) => (await compiled(condition))(samples.event))),
    invocations: roll(samples.rolls),
  }),
)
