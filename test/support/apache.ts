import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ApachePlace } from './apache-place.ts'

export interface Apache {
  /** Its error log so far. */
  logged(): Promise<string>
  stop(): Promise<void>
}

const moduleNames = [
  'mpm_event',
  'unixd',
  'authn_core',
  'authz_core',
  'authz_user',
  'proxy',
  'proxy_http',
  'auth_openidc',
]

// The shell ends with the server, and the server with the shell's input, which closes however this process ends.
const leash =
  'exec 3<&0; "$@" </dev/null 3<&- & server=$!; (read -r end <&3; kill $server 2>/dev/null) & wait $server'

/** A real Apache in a folder of its own, which listens on loopback and touches no service of the system. */
export async function startApache(place: ApachePlace, ports: number[], sites: string): Promise<Apache> {
  const folder = await mkdtemp(join(tmpdir(), 'hitotsu-apache-'))
  const settings = join(folder, 'apache.conf')
  await writeFile(settings, [...house(place, folder, ports), sites].join('\n'))
  const command = [place.command, '-D', 'FOREGROUND', '-d', folder, '-f', settings]
  const shell = spawn('sh', ['-c', leash, 'sh', ...command], { stdio: ['pipe', 'ignore', 'pipe'] })
  const exited = once(shell, 'exit')
  let complaints = ''
  shell.stderr.setEncoding('utf8').on('data', (chunk) => {
    complaints += chunk
  })
  const logged = async () => complaints + (await readFile(join(folder, 'error.log'), 'utf8').catch(() => ''))
  const stop = async () => {
    shell.stdin.end()
    await exited
    await rm(folder, { recursive: true, force: true })
  }
  try {
    for (const port of ports) await waitUntilOpen(port, () => shell.exitCode === null)
  } catch (error) {
    const log = await logged()
    await stop()
    throw new Error(`Apache did not start: ${log}`, { cause: error })
  }
  return { logged, stop }
}

function house({ modules }: ApachePlace, folder: string, ports: number[]): string[] {
  const loaded = moduleNames
    .map((name) => ({ name, file: join(modules, `mod_${name}.so`) }))
    // What is not a file is built in.
    .filter(({ file }) => existsSync(file))
  return [
    'ServerName 127.0.0.1',
    'PidFile apache.pid',
    `DefaultRuntimeDir ${folder}`,
    'ErrorLog error.log',
    'LogLevel warn auth_openidc:info',
    // It refuses to serve as root; this is nobody, whatever the system calls that.
    ...(process.getuid?.() === 0 ? ['User #65534', 'Group #65534'] : []),
    ...ports.map((port) => `Listen 127.0.0.1:${port}`),
    ...loaded.map(({ name, file }) => `LoadModule ${name}_module ${file}`),
  ]
}

async function waitUntilOpen(port: number, isRunning: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(20_000)
  for (;;) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      const settle = (answer: boolean) => {
        socket.destroy()
        resolve(answer)
      }
      socket.once('connect', () => settle(true)).once('error', () => settle(false))
    })
    if (isOpen) return
    if (deadline.aborted || !isRunning()) throw new Error(`nothing listens on port ${port}`)
  }
}
