/** The section of JupyterLab's own Running panel; Notebook 7 shows it, too. */

import type { IRunningSessionManagers, IRunningSessions } from '@jupyterlab/running';
import { closeIcon } from '@jupyterlab/ui-components';

import { IContext, tell } from './actions/context';
import { destroyAll } from './actions/dialogs';
import { CommandIDs } from './commands';
import { sessionIcon } from './icons';
import type { ISession } from './tokens';
import { details, statusWord } from './words';

/** Add the section. */
export function addRunning(managers: IRunningSessionManagers, context: IContext): void {
  const { sessions, trans } = context;
  const { commands } = context.app;
  const open = (session: ISession) => {
    const notebook = commands.isEnabled(CommandIDs.openNotebook, { id: session.id });
    const command = notebook ? CommandIDs.openNotebook : CommandIDs.details;
    void commands.execute(command, { id: session.id });
  };
  const item = (session: ISession): IRunningSessions.IRunningItem => ({
    className: 'jp-sessmgr-running',
    icon: () => sessionIcon,
    label: () => session.name,
    labelTitle: () => details(session, trans, Date.now()) || statusWord(session, trans),
    detail: () => statusWord(session, trans),
    open: () => open(session),
    shutdown: () => void commands.execute(CommandIDs.stop, { id: session.id })
  });
  managers.add({
    name: trans.__('Remote Sessions'),
    running: () => sessions.live.map(item),
    refreshRunning: () => void sessions.refresh(),
    runningChanged: sessions.changed,
    shutdownLabel: trans.__('Stop'),
    shutdownItemIcon: closeIcon,
    shutdownAllLabel: trans.__('Stop All'),
    shutdownAllConfirmationText: trans.__(
      'All your remote sessions end, with their variables, running programs and services.'
    ),
    shutdownAll: () => {
      void destroyAll(context, sessions.live)
        .catch(error => tell(error, context))
        .then(() => sessions.refresh());
    }
  });
}
