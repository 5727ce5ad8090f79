import { lineOf, type Node, walk } from './source.ts'

/** `object.property`, however it is written, and whether or not `globalThis` stands in front. */
export function isMember(node: Node, object: string, property: string): boolean {
  if (node.type !== 'MemberExpression') return false
  const name = node.property.type === 'Identifier' && !node.computed ? node.property.name : undefined
  const text = node.property.type === 'Literal' ? node.property.value : undefined
  return (name ?? text) === property && isNamed(node.object, object)
}

export function isCallOf(node: Node, object: string, property: string): boolean {
  return node.type === 'CallExpression' && isMember(node.callee, object, property)
}

/** A call of the global fetch, which guards nothing; a parameter or a variable of that name is another matter. */
export function callsGlobalFetch(node: Node, around: readonly Node[]): boolean {
  if (node.type !== 'CallExpression') return false
  if (isMember(node.callee, 'globalThis', 'fetch')) return true
  return isNamed(node.callee, 'fetch') && !around.some((outer) => binds(outer, 'fetch'))
}

function isNamed(node: Node, name: string): boolean {
  return (node.type === 'Identifier' && node.name === name) || isGlobalMember(node, name)
}

function isGlobalMember(node: Node, name: string): boolean {
  return node.type === 'MemberExpression' && name !== 'globalThis' && isMember(node, 'globalThis', name)
}

function binds(scope: Node, name: string): boolean {
  if ('params' in scope && Array.isArray(scope.params) && scope.params.some((one) => declares(one, name)))
    return true
  if (!('body' in scope) || !Array.isArray(scope.body)) return false
  return scope.body.some(
    (statement) =>
      (statement.type === 'VariableDeclaration' &&
        statement.declarations.some(({ id }) => declares(id, name))) ||
      (statement.type === 'ImportDeclaration' &&
        statement.specifiers.some(({ local }) => local.name === name)) ||
      (statement.type === 'FunctionDeclaration' && statement.id?.name === name),
  )
}

/** True when a pattern gives something this name: `fetch`, `{ fetch }`, `{ deps: { fetch } }`. */
function declares(pattern: Node, name: string): boolean {
  return [...walk(pattern)].some(
    ({ node, around }) =>
      node.type === 'Identifier' &&
      node.name === name &&
      !around.some((outer) => outer.type === 'TSTypeAnnotation'),
  )
}

export function isFunction(node: Node): boolean {
  return /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)
}

/**
 * The lines of a function. Functions that stand in its body by name, or are members of the object it returns, are
 * measured each by itself; callbacks, data and everything else count.
 */
export function ownLines(text: string, node: Node): number {
  const framed = framedBy(node).map((inner) => lines(text, inner) - 1)
  return lines(text, node) - framed.reduce((sum, count) => sum + count, 0)
}

function lines(text: string, { start, end }: Node): number {
  return lineOf(text, end) - lineOf(text, start) + 1
}

function framedBy(node: Node): Node[] {
  if (!('body' in node) || !node.body || Array.isArray(node.body)) return []
  const statements = node.body.type === 'BlockStatement' ? node.body.body : [node.body]
  return statements.flatMap((statement): Node[] => {
    switch (statement.type) {
      case 'FunctionDeclaration':
        return [statement]
      case 'VariableDeclaration':
        return statement.declarations.flatMap(({ init }) => (init && isFunction(init) ? [init] : []))
      case 'ReturnStatement':
        return statement.argument ? methodsOf(statement.argument) : []
      default:
        return methodsOf(statement)
    }
  })
}

function methodsOf(object: Node): Node[] {
  if (object.type === 'ParenthesizedExpression') return methodsOf(object.expression)
  if (object.type !== 'ObjectExpression') return []
  return object.properties.flatMap((property) =>
    property.type === 'Property' && isFunction(property.value) ? [property.value] : [],
  )
}
