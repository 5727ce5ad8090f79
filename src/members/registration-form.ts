import { z } from 'zod'
import { emailAddress } from './contact-point.ts'

/** A name as people write it: any script, no control characters. */
export const displayName = z
  .string({ error: 'required' })
  .trim()
  .normalize('NFC')
  .min(1, 'required')
  .max(100, 'name_too_long')
  .refine((text) => !/[\p{Cc}\p{Cf}\u2028\u2029]/u.test(text), 'invalid')

/** Passwords are taken exactly as typed; the policy judges them (OWASP ASVS 6.2.8). */
export const newPassword = z.string({ error: 'required' }).min(1, 'required').max(1024, 'password_too_long')

export const oneTimeCode = z
  .string({ error: 'required' })
  .transform((text) => text.normalize('NFKC').replace(/[\s-]/g, ''))
  .pipe(
    z
      .string()
      .min(1, 'required')
      .regex(/^\d{6}$/, 'code_format'),
  )

export const registrationForm = z.object({ name: displayName, email: emailAddress, password: newPassword })
/** Who comes with an upstream identity signs in with that; a password can be added later. */
export const federatedRegistrationForm = z.object({ name: displayName, email: emailAddress })
