/** Names of the commands. */

const PREFIX = 'jupyter-sessmgr';

/** What can be done, by command. */
export const CommandIDs = {
  create: `${PREFIX}:create`,
  createPreset: `${PREFIX}:create-preset`,
  show: `${PREFIX}:show`,
  refresh: `${PREFIX}:refresh`,
  openNotebook: `${PREFIX}:open-notebook`,
  openConsole: `${PREFIX}:open-console`,
  openService: `${PREFIX}:open-service`,
  details: `${PREFIX}:details`,
  restart: `${PREFIX}:restart`,
  suspend: `${PREFIX}:suspend`,
  resume: `${PREFIX}:resume`,
  keep: `${PREFIX}:keep`,
  rename: `${PREFIX}:rename`,
  copyUrl: `${PREFIX}:copy-url`,
  copyAttach: `${PREFIX}:copy-attach-command`,
  stop: `${PREFIX}:stop`,
  stopAll: `${PREFIX}:stop-all`
} as const;
