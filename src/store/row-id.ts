/** Whether this is the id of a row at all, as the database writes it: for anything else it answers with an error. */
export const isRowId = (text: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)
