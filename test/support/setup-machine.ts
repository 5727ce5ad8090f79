/** `npm run setup`: installs what tests need and npm cannot bring, with the system's package manager, where it is missing. */
import { spawnSync } from 'node:child_process'

interface Need {
  what: string
  commands: string[]
  packages: Record<Manager, string[]>
}

type Manager = 'apt-get' | 'dnf' | 'apk' | 'brew'

const needs: Need[] = [
  {
    what: 'Redis (redis-server, redis-cli)',
    commands: ['redis-server', 'redis-cli'],
    packages: { 'apt-get': ['redis-server'], dnf: ['redis'], apk: ['redis'], brew: ['redis'] },
  },
  {
    what: 'Chromium',
    commands: [process.env.CHROMIUM_PATH ?? 'chromium'],
    packages: { 'apt-get': ['chromium'], dnf: ['chromium'], apk: ['chromium'], brew: ['--cask', 'chromium'] },
  },
]

const installers: Record<Manager, string[][]> = {
  'apt-get': [
    ['apt-get', 'update'],
    ['apt-get', 'install', '--yes', '--no-install-recommends'],
  ],
  dnf: [['dnf', 'install', '--assumeyes']],
  apk: [['apk', 'add']],
  brew: [['brew', 'install']],
}

const has = (command: string) => spawnSync('sh', ['-c', 'command -v "$0"', command]).status === 0

/** System package managers want root; Homebrew refuses it. */
function asRoot(command: string[], manager: Manager): string[] {
  return manager === 'brew' || process.getuid?.() === 0 ? command : ['sudo', '--non-interactive', ...command]
}

function install(manager: Manager, missing: Need[]): boolean {
  const packages = missing.flatMap((need) => need.packages[manager])
  const steps = installers[manager].map((step, i, all) =>
    i === all.length - 1 ? [...step, ...packages] : step,
  )
  return steps.every((step) => {
    const [command = '', ...args] = asRoot(step, manager)
    console.log(`> ${[command, ...args].join(' ')}`)
    return (
      spawnSync(command, args, {
        stdio: 'inherit',
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      }).status === 0
    )
  })
}

const isMissing = ({ commands }: Need) => !commands.every(has)
const missing = needs.filter(isMissing)
const manager = (Object.keys(installers) as Manager[]).find(has)

if (missing.length > 0 && manager) install(manager, missing)
const left = needs.filter(isMissing)
if (left.length === 0) {
  console.log('Everything the tests need is here.')
} else {
  console.error(`Still missing: ${left.map(({ what }) => what).join(', ')}.`)
  console.error(
    "Install it with your system's package manager and run this again. Chromium elsewhere: set CHROMIUM_PATH to it.",
  )
  process.exit(1)
}
