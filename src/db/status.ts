export const storeStatus = async (..._a: unknown[]): Promise<never> => {
  throw new Error('x')
}
