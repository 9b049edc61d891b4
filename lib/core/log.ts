// The logging interface that code outside lib/node takes; pino implements it (lib/node/process/log.ts).

type LogMethod = {
  (message: string): void;
  (fields: Record<string, unknown>, message: string): void;
};

export interface Log {
  debug: LogMethod;
  info: LogMethod;
  warn: LogMethod;
  error: LogMethod;
}

const quiet = (() => {}) as LogMethod;
export const NO_LOG: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet };

/** What is logged: this and what is worse. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
