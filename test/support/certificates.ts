import { X509Certificate } from 'node:crypto'

/** CN=client.example.com,UID=client-1,OU=店,O=Example\\, Inc. \\+,C=JP with alternative names of four kinds, until 2126. */
export const clientCertificate = new X509Certificate(`-----BEGIN CERTIFICATE-----
MIICYjCCAgegAwIBAgIUA3e0ML3sUSUaSDY4rfYVd1hm4v4wCgYIKoZIzj0EAwIw
bDELMAkGA1UEBhMCSlAxGDAWBgNVBAoMD0V4YW1wbGUsIEluYy4gKzEMMAoGA1UE
CwwD5bqXMRgwFgYKCZImiZPyLGQBAQwIY2xpZW50LTExGzAZBgNVBAMMEmNsaWVu
dC5leGFtcGxlLmNvbTAgFw0yNjExMjIwMTAxMDdaGA8yMTI2MTAyOTAxMDEwN1ow
bDELMAkGA1UEBhMCSlAxGDAWBgNVBAoMD0V4YW1wbGUsIEluYy4gKzEMMAoGA1UE
CwwD5bqXMRgwFgYKCZImiZPyLGQBAQwIY2xpZW50LTExGzAZBgNVBAMMEmNsaWVu
dC5leGFtcGxlLmNvbTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDiG2OCRzSiE
9T5BIgI+AAN4958RaySxnMcxvhzO17Rsqe8X1/lJkLPqiqwE0iavAHh9XsPv2csl
F1YK0JkwRfyjgYQwgYEwYAYDVR0RBFkwV4ISY2xpZW50LmV4YW1wbGUuY29thh5o
dHRwczovL2NsaWVudC5leGFtcGxlLmNvbS9hLGKHECABDbgAAAAAAAAAAAAAAAGB
D29wc0BleGFtcGxlLmNvbTAdBgNVHQ4EFgQUpV8oq5zwkrj94TopanjXn0ed5CIw
CgYIKoZIzj0EAwIDSQAwRgIhAJ8+vvKN3ybCg68qhHSfuMnGI8sm/T5tlwdMnrgR
0Kw9AiEAhsYPQi49Cj0Fsm+kfdzvzvEGavhAjY89gzbopOU9Ai0=
-----END CERTIFICATE-----
`)

/** CN=other.example.com,O=Example\\, Inc.,C=JP: whoever splits its names at commas takes it for the other one. */
export const otherCertificate = new X509Certificate(`-----BEGIN CERTIFICATE-----
MIICHzCCAcagAwIBAgIUaUkr2Rg3XJbT7EfdJf8D2QX49VUwCgYIKoZIzj0EAwIw
QTELMAkGA1UEBhMCSlAxFjAUBgNVBAoMDUV4YW1wbGUsIEluYy4xGjAYBgNVBAMM
EW90aGVyLmV4YW1wbGUuY29tMCAXDTI2MTEyMjAxMDAzMVoYDzIxMjYxMDI5MDEw
MDMxWjBBMQswCQYDVQQGEwJKUDEWMBQGA1UECgwNRXhhbXBsZSwgSW5jLjEaMBgG
A1UEAwwRb3RoZXIuZXhhbXBsZS5jb20wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AARZ/lnECo0+CsMLtuZoc7WKhyFASoB2edyQRTKM4HZoFZTPWNG4U19KofhF13qF
0tqIWgPFFKcaaP5k5qwwOITBo4GZMIGWMB0GA1UdDgQWBBQQz+gNnbW3KZf6P9PK
k+48Q9CInDAfBgNVHSMEGDAWgBQQz+gNnbW3KZf6P9PKk+48Q9CInDAPBgNVHRMB
Af8EBTADAQH/MEMGA1UdEQQ8MDqCEW90aGVyLmV4YW1wbGUuY29thhxodHRwczov
L2NsaWVudC5leGFtcGxlLmNvbS9hggFihwQKAAABMAoGCCqGSM49BAMCA0cAMEQC
IEEB2R4ZF+Tub0WHXe6ViFllUxFb3H+M+VM1lzBSaunnAiAhqyQhwBCRLIzbsofy
3t1oiQV86egDivW4KTMATmDoJA==
-----END CERTIFICATE-----
`)

/** As a proxy passes it on by RFC 9440. */
export const clientCert = ({ raw }: X509Certificate) => `:${raw.toString('base64')}:`

/** As nginx passes it on in $ssl_client_escaped_cert. */
export const escapedCert = (certificate: X509Certificate) => encodeURIComponent(certificate.toString())
