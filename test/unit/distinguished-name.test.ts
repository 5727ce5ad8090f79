import { describe, expect, test } from 'vitest'
import { isSameName } from '../../src/oidc/distinguished-name.ts'

/** As node:crypto writes a subject: one relative name a line, in the order of the certificate. */
const subject = 'C=JP\nO=Example\\, Inc. \\+\nOU=店\nCN=shop + UID=7\nemailAddress=a@example.com'

describe('a name as RFC 4514 writes it, and the subject of a certificate', () => {
  test.each([
    ['nothing', ''],
    ['a part of it', 'O=Example\\, Inc. \\+,C=JP'],
    [
      'it in the order of the certificate',
      'C=JP,O=Example\\, Inc. \\+,OU=店,CN=shop+UID=7,emailAddress=a@example.com',
    ],
    ['more than it', 'DC=x,emailAddress=a@example.com,CN=shop+UID=7,OU=店,O=Example\\, Inc. \\+,C=JP'],
    ['another value', 'emailAddress=b@example.com,CN=shop+UID=7,OU=店,O=Example\\, Inc. \\+,C=JP'],
    ['another type', 'emailAddress=a@example.com,CN=shop+L=7,OU=店,O=Example\\, Inc. \\+,C=JP'],
    [
      'a separator that is not one',
      'emailAddress=a@example.com,CN=shop+UID=7,OU=店,O=Example, Inc. \\+,C=JP',
    ],
    [
      'one relative name for two',
      'emailAddress=a@example.com,UID=7,CN=shop,OU=店,O=Example\\, Inc. \\+,C=JP',
    ],
    ['text that is no name', 'somebody'],
    ['a value that is cut off', 'emailAddress=#160161,CN=shop+UID=7,OU=店,O=Example\\, Inc. \\+,C=JP'],
  ])('%s is not the same', (_, expected) => {
    expect(isSameName(expected, subject)).toBe(false)
  })

  test.each([
    ['as it is', 'emailAddress=a@example.com,CN=shop+UID=7,OU=店,O=Example\\, Inc. \\+,C=JP'],
    ['with spaces', 'emailAddress = a@example.com, CN=shop + UID=7, OU=店, O=Example\\,  Inc. \\+ , C=JP'],
    ['in other letters', 'EMAILADDRESS=A@EXAMPLE.COM,cn=SHOP+uid=7,ou=店,o=example\\, inc. \\+,c=jp'],
    [
      'with several attributes the other way round',
      'emailAddress=a@example.com,UID=7+CN=shop,OU=店,O=Example\\, Inc. \\+,C=JP',
    ],
    ['in bytes', 'emailAddress=a@example.com,CN=shop+UID=7,OU=\\E5\\BA\\97,O=Example\\2C Inc. \\2b,C=JP'],
    [
      'in encoded values',
      'emailAddress=#160D61406578616D706C652E636F6D,CN=shop+UID=7,OU=#0C03E5BA97,O=Example\\, Inc. \\+,C=JP',
    ],
    [
      'by identifiers',
      '1.2.840.113549.1.9.1=a@example.com,2.5.4.3=shop+0.9.2342.19200300.100.1.1=7,OID.2.5.4.11=店,O=Example\\, Inc. \\+,C=JP',
    ],
  ])('%s it is the same', (_, expected) => {
    expect(isSameName(expected, subject)).toBe(true)
  })

  test('an empty name is nobody, not even the subject of a certificate that has none', () => {
    expect(isSameName('', '')).toBe(false)
  })

  test.each([
    ['O=Example\\0AOU=x', 'O=Example\nOU=x'],
    ['CN=a\\, OU=b', 'OU=b\nCN=a'],
  ])('a value cannot pass for two: %s', (text, found) => {
    expect(isSameName(text, found)).toBe(false)
  })

  test('a type that has no name here is compared by the one it is written with', () => {
    expect(isSameName('1.2.3.4=x,C=JP', 'C=JP\n1.2.3.4=x')).toBe(true)
    expect(isSameName('1.2.3.5=x,C=JP', 'C=JP\n1.2.3.4=x')).toBe(false)
  })
})
