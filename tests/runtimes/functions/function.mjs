// A function whose event selects its behavior; function.py and function.rs behave the same.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

const handled = (context) => console.log('handled', context.awsRequestId, Date.now())

export async function handler(event, context) {
  handled(context)
  switch (event?.do) {
    case 'fail':
      throw new RangeError('the event asks for it')
    case 'wait':
      await pause(event.ms)
      return event
    case 'describe':
      return describe(context)
    case 'inspect':
      return inspect()
    default:
      return event
  }
}

// Streams its response in parts with pauses between them. With `fail`, it fails before the last part.
export const stream = awslambda.streamifyResponse(async (event, response, context) => {
  handled(context)
  response.setContentType('text/plain')
  for (let part = 1; part <= event.parts; part++) {
    if (part > 1) await pause(event.ms)
    if (part === event.parts && event.fail) throw new RangeError('the event asks for it')
    response.write(`part ${part}\n`)
  }
  response.end()
})

// Returns what the runtime has made of the headers of the event.
function describe(context) {
  return {
    id: context.awsRequestId,
    arn: context.invokedFunctionArn,
    // The runtime gives only the remaining time.
    deadline: null,
    trace: process.env._X_AMZN_TRACE_ID,
    client: context.clientContext?.custom ?? null,
    identity: context.identity?.cognitoIdentityId ?? null,
  }
}

// Returns what a process can observe about its start.
function inspect() {
  const list = (folder) => readdirSync(`/proc/self/${folder}`)
  return {
    environment: process.env,
    children: list('task').flatMap((task) => read(`task/${task}/children`).split(' ').filter(Boolean)),
    descriptors: list('fd').flatMap((descriptor) => target(descriptor)),
    status: read('status'),
    limits: read('limits'),
    arguments: read('cmdline'),
    directory: process.cwd(),
  }
}

const read = (file) => readFileSync(`/proc/self/${file}`, 'utf8')

function target(descriptor) {
  try {
    return [readlinkSync(`/proc/self/fd/${descriptor}`)]
  } catch {
    return [] // the descriptor of the listing
  }
}
