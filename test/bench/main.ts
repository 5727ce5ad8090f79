import { mkdir, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { flows } from './flows.ts'
import { measure, type Plan, type Row } from './measure.ts'
import { startSides } from './sides.ts'
import { openStores } from './stores.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    out: { type: 'string' },
    only: { type: 'string', multiple: true },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const usage = `npm run bench -- [--quick] [--out FILE] [--only NAME]... [--profile FOLDER]

Measures this server on PostgreSQL and Redis against a bare oidc-provider in memory, in one run.
  --quick           short rounds
  --out FILE        writes the figures as JSON, with the statements and commands of each request
  --only NAME       one of ${flows.map(({ name }) => name).join(', ')}; may be repeated
  --profile FOLDER  writes CPU profiles of both servers there`

async function main(): Promise<void> {
  const plan: Plan = {
    ...(values.quick ? { rounds: 3, seconds: 0.7 } : { rounds: 5, seconds: 2 }),
    profiles: values.profile && resolve(values.profile),
  }
  if (plan.profiles) await mkdir(plan.profiles, { recursive: true })
  const chosen = flows.filter(({ name }) => !values.only || values.only.includes(name))
  const stores = await openStores()
  // PostgreSQL runs in a session of its own: whoever interrupts this leaves none behind.
  process.once('SIGINT', () => stores.close().finally(() => process.exit(130)))
  try {
    const { ours, bare } = await startSides(stores)
    const rows: Row[] = []
    for (const flow of chosen) {
      rows.push(await measure(flow, ours, bare, stores, plan))
      console.error(`${flow.name} measured`)
    }
    await Promise.all([ours.process.stop(), bare.process.stop()])
    console.log(table(rows))
    if (values.out) await writeFile(values.out, `${JSON.stringify({ rows }, undefined, 2)}\n`)
  } finally {
    await stores.close()
  }
}

function table(rows: readonly Row[]): string {
  const head = [
    '',
    'ratio',
    'rps',
    'bare',
    'p50 ms',
    'bare',
    'p99 ms',
    'bare',
    'CPU ms',
    'bare',
    'MB',
    'bare',
    'SQL',
    'Redis',
    '',
  ]
  const lines = rows.map(({ name, ratio, target, ours, bare }) => [
    name,
    ratio.toFixed(2),
    ...[ours.rps, bare.rps].map((rps) => rps.toFixed(0)),
    ...[ours.p50_ms, bare.p50_ms, ours.p99_ms, bare.p99_ms].map((ms) => ms.toFixed(1)),
    ...[ours.cpu_ms, bare.cpu_ms].map((ms) => ms.toFixed(2)),
    ...[ours.rss_mb, bare.rss_mb].map((mb) => mb.toFixed(0)),
    ...[ours.pg_statements, ours.redis_commands].map((count) => count.toFixed(1)),
    target === undefined ? '' : ratio >= target ? `kept (${target})` : `BELOW ${target}`,
  ])
  const widths = head.map((_, column) =>
    Math.max(...[head, ...lines].map((line) => line[column]?.length ?? 0)),
  )
  const edge = (column: number) => column === 0 || column === head.length - 1
  const print = (line: string[]) =>
    line
      .map((cell, column) =>
        edge(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [head, ...lines].map(print).join('\n')
}

const unknown = values.only?.find((name) => !flows.some((flow) => flow.name === name))
if (values.help) console.log(usage)
else if (unknown) {
  console.error(`there is no ${unknown}\n\n${usage}`)
  process.exitCode = 2
} else await main()
