/** Adds the list of sessions to the page, and the commands about it. */

import type { ILayoutRestorer } from '@jupyterlab/application';

import type { IContext } from '../actions/context';
import { CommandIDs } from '../commands';
import type { StartProgress } from '../starting/progress';
import { SessionsPanel } from './panel';

/** Put the list into the left side bar. */
export function addPanel(
  context: IContext,
  progress: StartProgress,
  restorer: ILayoutRestorer | null
): void {
  const { app, health, palette, sessions, trans } = context;
  const panel = new SessionsPanel(context, progress);
  app.shell.add(panel, 'left', { rank: 250, type: 'Remote Sessions' });
  restorer?.add(panel, panel.id);
  app.commands.addCommand(CommandIDs.show, {
    label: trans.__('Show Remote Sessions'),
    execute: () => app.shell.activateById(panel.id)
  });
  app.commands.addCommand(CommandIDs.refresh, {
    label: trans.__('Refresh Remote Sessions'),
    execute: async () => {
      await Promise.all([sessions.refresh(), health.refresh()]);
    }
  });
  for (const command of [CommandIDs.show, CommandIDs.refresh]) {
    palette?.addItem({ command, category: trans.__('Remote Sessions') });
  }
}
