import type { KesAccess } from '../index.ts'
import type { Command } from './commander.ts'
import type { Settings } from './settings.ts'

/** The options that name a key server, and who we are to it. */
export const kesOptions = (command: Command): void => {
  command.option('--kes-endpoint <url>', 'address of the key server: https://host:port')
  command.option('--kes-ca <file>', 'PEM of the authorities that its certificate must come from')
  command.option('--kes-client-cert <file>', 'PEM of the certificate that it knows us by')
  command.option('--kes-client-key <file>', 'PEM of the private key of that certificate')
}

/** How the key server is reached, as the settings say. */
export const kesAccess = ({ settings }: { readonly settings: Settings }): KesAccess => {
  const endpoint = settings.text('kes.endpoint')
  const [caFile, clientCertFile] = [settings.text('kes.ca'), settings.text('kes.clientCert')]
  const clientKeyFile = settings.text('kes.clientKey')
  return {
    offline: settings.flag('offline'),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(caFile === undefined ? {} : { caFile }),
    ...(clientCertFile === undefined ? {} : { clientCertFile }),
    ...(clientKeyFile === undefined ? {} : { clientKeyFile }),
  }
}

/** The key server of what may be encrypted, where one is named. */
export const namedKes = (context: {
  readonly settings: Settings
}): { readonly kes?: KesAccess } => {
  const kes = kesAccess(context)
  return kes.endpoint === undefined ? {} : { kes }
}
