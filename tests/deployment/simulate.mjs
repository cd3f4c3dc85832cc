// Answers one IAM simulation per line of standard input with one line of JSON.
import { createInterface } from 'node:readline'
import { runSimulation } from '@cloud-copilot/iam-simulate'

async function answer(question) {
  const result = await runSimulation(question, {})
  return result.resultType === 'error'
    ? { error: result.errors }
    : { decision: result.overallResult, ignored: result.result?.ignoredContextKeys ?? [] }
}

for await (const line of createInterface({ input: process.stdin })) {
  const told = await answer(JSON.parse(line)).catch((error) => ({ error: String(error) }))
  console.log(JSON.stringify(told))
}
