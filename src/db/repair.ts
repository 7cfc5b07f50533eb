export const repairStore = async (..._a: unknown[]): Promise<never> => {
  throw new Error('x')
}
