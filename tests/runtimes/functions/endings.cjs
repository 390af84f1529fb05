// Handlers that end in the ways of the runtimes before Node.js 24, which also find a handler in a function.
module.exports = function application() {}

const ended = (event) => ({ ...event, ended: true })

module.exports.callback = (event, context, callback) => {
  setTimeout(() => (event.fail ? callback(new RangeError('the event asks for it')) : callback(null, ended(event))), 1)
}

// The runtime waits for the pending work before it responds.
module.exports.pending = (event, context, callback) => {
  setTimeout(() => console.log('saved'), 50)
  callback(null, ended(event))
}

module.exports.context = (event, context) => {
  setTimeout(() => (event.fail ? context.fail(new RangeError('the event asks for it')) : context.succeed(ended(event))), 1)
}

module.exports.promise = async (event) => ended(event)

// This runtime responds with null when the event loop is empty.
module.exports.nothing = () => 'ignored'
