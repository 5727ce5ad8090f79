import { existsSync } from 'node:fs'
import { join } from 'node:path'

export interface ApachePlace {
  command: string
  /** Where its modules are, mod_auth_openidc among them. */
  modules: string
}

/** Where Debian, and Fedora and its kin, put the server and its modules. */
const places: ApachePlace[] = [
  { command: '/usr/sbin/apache2', modules: '/usr/lib/apache2/modules' },
  { command: '/usr/sbin/httpd', modules: '/usr/lib64/httpd/modules' },
]

/** An Apache that has mod_auth_openidc, if this machine has one. */
export function findApache(): ApachePlace | undefined {
  return places.find(
    ({ command, modules }) => existsSync(command) && existsSync(join(modules, 'mod_auth_openidc.so')),
  )
}
