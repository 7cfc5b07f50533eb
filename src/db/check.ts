export const checkStore = async (..._a: unknown[]): Promise<never> => {
  throw new Error('x')
}
