// A function with its own errors.
export class OutOfStock extends Error {
  name = 'OutOfStock'
}

export class NeedsTwo extends Error {
  constructor(item, count) {
    super(`${item.name}: ${count.size}`)
  }
}

export async function handler(event, context) {
  console.log('handled', context.awsRequestId, Date.now())
  return event
}
