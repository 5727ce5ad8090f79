/** `npm run setup`: installs what tests need and npm cannot bring, with the system's package manager, where it is missing. */
import { spawnSync } from 'node:child_process'
import { findApache } from './apache-place.ts'

interface Need {
  what: string
  isHere: () => boolean
  packages: Partial<Record<Manager, string[]>>
  /** Tests that need it are skipped where no package manager brings it. */
  isOptional?: boolean
}

type Manager = 'apt-get' | 'dnf' | 'apk' | 'brew'

const has = (command: string) => spawnSync('sh', ['-c', 'command -v "$0"', command]).status === 0

const needs: Need[] = [
  {
    what: 'Redis (redis-server, redis-cli)',
    isHere: () => has('redis-server') && has('redis-cli'),
    packages: { 'apt-get': ['redis-server'], dnf: ['redis'], apk: ['redis'], brew: ['redis'] },
  },
  {
    what: 'Chromium',
    isHere: () => has(process.env.CHROMIUM_PATH ?? 'chromium'),
    packages: { 'apt-get': ['chromium'], dnf: ['chromium'], apk: ['chromium'], brew: ['--cask', 'chromium'] },
  },
  {
    what: 'Apache with mod_auth_openidc',
    isHere: () => findApache() !== undefined,
    packages: {
      // Without the package apache2, which would start a service.
      'apt-get': ['apache2-bin', 'libapache2-mod-auth-openidc'],
      dnf: ['httpd', 'mod_auth_openidc'],
    },
    isOptional: true,
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

/** System package managers want root; Homebrew refuses it. */
function asRoot(command: string[], manager: Manager): string[] {
  return manager === 'brew' || process.getuid?.() === 0 ? command : ['sudo', '--non-interactive', ...command]
}

function install(manager: Manager, missing: Need[]): boolean {
  const packages = missing.flatMap((need) => need.packages[manager] ?? [])
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

const manager = (Object.keys(installers) as Manager[]).find(has)
const canInstall = ({ packages }: Need) => manager !== undefined && packages[manager] !== undefined
const missing = needs.filter(({ isHere }) => !isHere())

if (manager && missing.some(canInstall)) install(manager, missing)
const left = missing.filter(({ isHere }) => !isHere())
const skipped = left.filter((need) => need.isOptional && !canInstall(need))
const lacking = left.filter((need) => !skipped.includes(need))
for (const { what } of skipped) console.log(`${what}: no package here; tests that need it are skipped.`)
if (lacking.length === 0) {
  console.log(skipped.length === 0 ? 'Everything the tests need is here.' : 'Everything else is here.')
} else {
  console.error(`Still missing: ${lacking.map(({ what }) => what).join(', ')}.`)
  console.error(
    "Install it with your system's package manager and run this again. Chromium elsewhere: set CHROMIUM_PATH to it.",
  )
  process.exit(1)
}
