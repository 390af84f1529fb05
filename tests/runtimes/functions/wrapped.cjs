// A function that uses the wrapper of failure-lambda.
const failureLambda = require('failure-lambda')

exports.OutOfStock = class OutOfStock extends Error {
  name = 'OutOfStock'
}

exports.handler = failureLambda(async (event, context) => {
  console.log('handled', context.awsRequestId, Date.now())
  return event
})
