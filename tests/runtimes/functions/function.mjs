// A function that does what its event says; function.py and function.rs do the same.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

const handled = (context) => console.log('handled', context.awsRequestId, Date.now())

export async function handler(event, context) {
  handled(context)
  switch (event?.do) {
    case 'fail':
      throw new RangeError('the event says so')
    case 'wait':
      await pause(event.ms)
      return event
    case 'describe':
      return describe(context)
    case 'look':
      return look()
    default:
      return event
  }
}

// Answers in parts, with time between them; with `fail`, it fails before the last one.
export const stream = awslambda.streamifyResponse(async (event, answer, context) => {
  handled(context)
  answer.setContentType('text/plain')
  for (let part = 1; part <= event.parts; part++) {
    if (part > 1) await pause(event.ms)
    if (part === event.parts && event.fail) throw new RangeError('the event says so')
    answer.write(`part ${part}\n`)
  }
  answer.end()
})

// What the headers of the event have become.
function describe(context) {
  return {
    id: context.awsRequestId,
    arn: context.invokedFunctionArn,
    // Only what remains of it can be asked for.
    deadline: null,
    trace: process.env._X_AMZN_TRACE_ID,
    client: context.clientContext?.custom ?? null,
    identity: context.identity?.cognitoIdentityId ?? null,
  }
}

// What a process can see of how it was started.
function look() {
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
    return [] // the one that listed them
  }
}
