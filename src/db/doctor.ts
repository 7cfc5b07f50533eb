export const doctor = async (..._a: unknown[]): Promise<never> => {
  throw new Error('x')
}
