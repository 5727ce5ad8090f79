import { join } from 'node:path'
import type { Flow } from './flows.ts'
import { applyLoad } from './load.ts'
import type { Side } from './sides.ts'
import type { Counts, Stores } from './stores.ts'

export interface Figures {
  requests: number
  rps: number
  p50_ms: number
  p99_ms: number
  /** Of the server's process alone, per request. */
  cpu_ms: number
  rss_mb: number
}

export interface Row {
  name: string
  /** How much of the bare engine's throughput ours reaches: the median of the rounds. */
  ratio: number
  target?: number
  ours: Figures & {
    /** Per request. */
    pg_statements: number
    redis_commands: number
    statements: Counts
    commands: Counts
  }
  bare: Figures
  rounds: number[]
}

export interface Plan {
  rounds: number
  seconds: number
  /** Where CPU profiles are to be written, one for each flow and side. */
  profiles?: string | undefined
}

interface Round {
  rps: number
  cpuMs: number
  latenciesMs: number[]
}

/** Short rounds in turn, each side first as often as the other: what else the machine does strikes both. */
export async function measure(
  flow: Flow,
  ours: Side,
  bare: Side,
  stores: Stores,
  { rounds, seconds, profiles }: Plan,
): Promise<Row> {
  const counts: { statements: Counts; commands: Counts }[] = []
  const workersOf = { ours: await flow.prepare(ours), bare: await flow.prepare(bare) }
  const run = async (side: Side): Promise<Round> => {
    const workers = await workersOf[side.name](seconds)
    await stores.settle()
    await stores.resetCounts()
    const before = await side.process.usage()
    const load = await applyLoad(side.issuer, workers, seconds)
    const after = await side.process.usage()
    if (side === ours) counts.push(await stores.counts())
    const { latenciesMs } = load
    return { rps: latenciesMs.length / load.seconds, cpuMs: after.cpuMs - before.cpuMs, latenciesMs }
  }
  await run(bare)
  await run(ours)
  counts.length = 0
  if (profiles) await Promise.all([ours, bare].map((side) => side.process.beginProfile()))

  const pairs: { ours: Round; bare: Round }[] = []
  for (let i = 0; i < rounds; i += 1) {
    const first = await run(i % 2 === 0 ? ours : bare)
    const second = await run(i % 2 === 0 ? bare : ours)
    pairs.push(i % 2 === 0 ? { ours: first, bare: second } : { ours: second, bare: first })
  }
  if (profiles) {
    for (const { name, process } of [ours, bare])
      await process.endProfile(join(profiles, `${flow.name}-${name}.cpuprofile`))
  }
  const ratios = pairs.map((pair) => pair.ours.rps / pair.bare.rps)
  const requests = pairs.reduce((sum, pair) => sum + pair.ours.latenciesMs.length, 0)
  const statements = perRequest(
    counts.map((each) => each.statements),
    requests,
  )
  const commands = perRequest(
    counts.map((each) => each.commands),
    requests,
  )
  return {
    name: flow.name,
    ratio: median(ratios),
    ...(flow.target && { target: flow.target }),
    ours: {
      ...figures(
        pairs.map((pair) => pair.ours),
        await ours.process.usage(),
      ),
      pg_statements: total(statements),
      redis_commands: total(commands),
      statements,
      commands,
    },
    bare: figures(
      pairs.map((pair) => pair.bare),
      await bare.process.usage(),
    ),
    rounds: ratios,
  }
}

function figures(rounds: Round[], { rssMb }: { rssMb: number }): Figures {
  const latencies = rounds.flatMap(({ latenciesMs }) => latenciesMs).sort((a, b) => a - b)
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
  return {
    requests: latencies.length,
    rps: median(rounds.map(({ rps }) => rps)),
    p50_ms: at(0.5),
    p99_ms: at(0.99),
    cpu_ms: rounds.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / latencies.length,
    rss_mb: rssMb,
  }
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2
}

/** Rare ones belong to the server's own rhythm, not to a request. */
function perRequest(counts: Counts[], requests: number): Counts {
  const sum: Counts = {}
  for (const [name, calls] of counts.flatMap((each) => Object.entries(each)))
    sum[name] = (sum[name] ?? 0) + calls
  const rates = Object.entries(sum).map(([name, calls]) => [name, calls / requests] as const)
  return Object.fromEntries(rates.filter(([, rate]) => rate >= 0.01).sort(([, a], [, b]) => b - a))
}

function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, rate) => sum + rate, 0)
}
