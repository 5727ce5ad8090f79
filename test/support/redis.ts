import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface RedisServer {
  url: string
  port: number
  readonly running: boolean
  /** Alive but mute, as a machine that hangs. */
  freeze(): void
  thaw(): void
  /** Ends it as a crash would; with nothing on disk its keys are gone. */
  kill(): Promise<void>
  /** After `kill`: the same port, empty. */
  restart(): Promise<void>
  stop(): Promise<void>
}

const run = promisify(execFile)

// The shell waits on its input, which closes however this process ends, and takes the server with it.
const leash = '"$@" </dev/null & echo $!; read -r end; kill -9 $!; wait'

/** A real redis-server of its own on loopback. It never outlives this process. */
export async function startRedis(extra: readonly string[] = []): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'hitotsu-redis-'))
  const port = await freePort()
  const settings = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    'no',
  ]
  const start = () => launch(['redis-server', ...settings, ...extra], port)
  let server = await start().catch(async (error) => {
    await rm(folder, { recursive: true, force: true })
    throw error
  })
  let running = true
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get running() {
      return running
    },
    freeze: () => process.kill(server.pid, 'SIGSTOP'),
    thaw: () => process.kill(server.pid, 'SIGCONT'),
    kill: async () => {
      running = false
      await server.end()
    },
    restart: async () => {
      server = await start()
      running = true
    },
    stop: async () => {
      await server.end()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A real Redis Cluster of three masters with a replica each. */
export async function startRedisCluster(): Promise<{
  url: string
  servers: RedisServer[]
  stop(): Promise<void>
}> {
  const settings = [
    ...['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'],
    // Each replica stays with its master, also where a busy machine makes one look dead, and copies it at once.
    ...['--cluster-allow-replica-migration', 'no', '--repl-diskless-sync-delay', '0'],
  ]
  const servers = await Promise.all(Array.from({ length: 6 }, () => startRedis(settings)))
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()))
  }
  try {
    const addresses = servers.map((server) => `127.0.0.1:${server.port}`)
    await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes'])
    await Promise.all(
      servers.map(async ({ port }) => {
        await waitForAnswer(port, ['cluster', 'info'], /cluster_state:ok/)
        // A replica that has not copied its master yet could not take its place.
        await waitForAnswer(port, ['info', 'replication'], /connected_slaves:1|master_link_status:up/)
      }),
    )
  } catch (error) {
    await stop()
    throw error
  }
  return { url: servers.map((server) => server.url).join(','), servers, stop }
}

/** What redis-cli prints for a command. */
export async function redisCli(port: number, ...command: string[]): Promise<string> {
  return (await run('redis-cli', ['-p', String(port), ...command])).stdout
}

async function launch(command: string[], port: number) {
  const shell = spawn('sh', ['-c', leash, 'sh', ...command], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(shell, 'exit')
  const [firstLine] = await once(shell.stdout, 'data')
  shell.stdout.resume()
  const end = async () => {
    shell.stdin.end()
    await exited
  }
  try {
    await waitForAnswer(port, ['ping'], /PONG|NOAUTH/)
  } catch (error) {
    await end()
    throw error
  }
  return { pid: Number.parseInt(String(firstLine), 10), end }
}

async function waitForAnswer(port: number, command: string[], expected: RegExp): Promise<void> {
  const deadline = AbortSignal.timeout(20_000)
  for (;;) {
    const answer = await redisCli(port, ...command).catch(() => '')
    if (expected.test(answer)) return
    if (deadline.aborted) throw new Error(`redis on port ${port} did not answer ${expected}: ${answer}`)
  }
}

/** A port that is free, and whose cluster bus port (10000 above) is free as well. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = await listenOnce(0)
    if (port && port < 55_536 && (await listenOnce(port + 10_000))) return port
  }
}

async function listenOnce(port: number): Promise<number | undefined> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return address && typeof address === 'object' ? address.port : undefined
  } catch {
    return undefined
  } finally {
    server.close()
  }
}
