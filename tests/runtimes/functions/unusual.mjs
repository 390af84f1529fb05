// Functions that replace what the chaos handler needs, and that end their streams in unusual ways.
const { parse } = JSON
JSON.parse = (text) => parse(text, (_, value) => (typeof value === 'number' ? String(value) : value))
Math.random = () => 0
Date.now = () => Number.MAX_SAFE_INTEGER
globalThis.setTimeout = () => 0
Object.prototype.match = 'inherited'

export async function handler(event) {
  return event
}
// A call that goes through this property would lose the event.
handler.apply = () => 'not the result'

// Its search for a class fails.
export default new Proxy({}, {
  get() {
    throw new TypeError('no such setting')
  },
})

// Ends its stream after it has returned.
export const late = awslambda.streamifyResponse(async (event, response) => {
  setImmediate(() => response.end('whole'))
})

export const twice = awslambda.streamifyResponse(async (event, response) => {
  response.end('whole')
  response.end()
})
