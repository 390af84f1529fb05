// Sends an invoice. A target of the lab: it has no code for experiments.

export class MailboxFull extends Error {
  name = 'MailboxFull'
}

export async function handler(event, context) {
  const number = event.number ?? 1042
  console.log(JSON.stringify({ event: 'invoice', service: process.env.SERVICE_NAME, number, request: context.awsRequestId }))
  return { statusCode: 200, body: { invoice: number } }
}
