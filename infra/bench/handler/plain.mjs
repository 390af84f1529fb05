// The handler that the chaos handler calls.
export const handler = (event) => event
