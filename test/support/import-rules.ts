const base = ['mail', 'http', 'store', 'telemetry', 'security', 'config', 'problem']
const members = [...base, 'events', 'members']
const linking = [...members, 'connections', 'oidc', 'linking']
const surface = [...linking, 'unification']

/** Who may import whom: imports go down only. A folder that is not listed here has no place in the house yet. */
const mayImport: Record<string, readonly string[]> = {
  problem: [],
  security: ['security'],
  ...Object.fromEntries(base.slice(0, 4).map((name) => [name, base])),
  config: base,
  events: [...base, 'events'],
  members,
  // Not members: what an upstream says about somebody is not yet about a member.
  connections: [...base, 'events', 'connections'],
  oidc: [...members, 'oidc'],
  linking,
  unification: surface,
  admin: [...surface, 'admin'],
  scim: [...surface, 'scim'],
  cli: [...surface, 'cli'],
  interaction: [...surface, 'interaction'],
}

/** What is wrong with one import, or undefined. Paths are below the repository. */
export function importFault(importer: string, imported: string): string | undefined {
  const fault = `${importer} imports ${imported}`
  const [from, to] = [partOf(importer), partOf(imported)]
  if (to === undefined) return fault
  if (from === 'demo') {
    const seeds = importer.split('/').length === 3
    return seeds || to === 'demo' ? undefined : fault
  }
  if (to === 'demo') return fault
  if (from === 'main' || from === 'app') return undefined
  return mayImport[from ?? '']?.includes(to) ? undefined : fault
}

/** The folder right under src, or the file there without its ending. */
function partOf(path: string): string | undefined {
  return /^src\/([^/]+?)(\.ts$|\/)/.exec(path)?.[1]
}

/** Files that import each other in a circle, each circle once. */
export function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: string[]): void => {
    const seen = trail.indexOf(path)
    if (seen >= 0) found.push([...trail.slice(seen), path].join(' -> '))
    if (seen >= 0 || done.has(path)) return
    for (const imported of graph.get(path) ?? []) visit(imported, [...trail, path])
    done.add(path)
  }
  for (const path of graph.keys()) visit(path, [])
  return found
}
