import { isText, type Node, walk } from './source.ts'

/** Every message that calls of `t` ask for, each as a pattern: what is only known at run time may be anything. */
export function messageKeys(program: Node): RegExp[] {
  return [...walk(program)].flatMap(({ node }) => {
    if (node.type !== 'CallExpression' || !isTranslate(node.callee)) return []
    const [key] = node.arguments
    return key ? possibleTexts(key).map((text) => new RegExp(`^${text}$`)) : []
  })
}

function isTranslate(callee: Node): boolean {
  return callee.type === 'MemberExpression'
    ? callee.property.type === 'Identifier' && callee.property.name === 't'
    : callee.type === 'Identifier' && callee.name === 't'
}

function possibleTexts(node: Node): string[] {
  if (isText(node)) return [literally(node.value)]
  switch (node.type) {
    case 'ConditionalExpression':
      return [...possibleTexts(node.consequent), ...possibleTexts(node.alternate)]
    case 'BinaryExpression':
      return possibleTexts(node.left).flatMap((left) =>
        possibleTexts(node.right).map((right) => left + right),
      )
    case 'TemplateLiteral':
      return [node.quasis.map(({ value }) => literally(value.raw)).join('[^.]+')]
    default:
      return ['.+']
  }
}

function literally(text: string): string {
  return text.replaceAll('.', '\\.')
}
