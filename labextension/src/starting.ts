/** Starts sessions: by a card of the launcher, or by the form. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, ICommandPalette, Notification, showDialog } from '@jupyterlab/apputils';
import type { ILauncher } from '@jupyterlab/launcher';
import type { TranslationBundle } from '@jupyterlab/translation';
import { addIcon } from '@jupyterlab/ui-components';

import type { Api, IWish } from './api';
import { CommandIDs } from './commands';
import { SessionForm } from './form';
import { sessionIcon } from './icons';
import type { Sessions } from './sessions';
import { ISession, STARTING } from './tokens';

/** Between Notebook (0) and Console (20) in the launcher. */
const CATEGORY_RANK = 10;

/** What the command works with. */
interface IContext {
  readonly app: JupyterFrontEnd;
  readonly api: Api;
  readonly sessions: Sessions;
  readonly trans: TranslationBundle;
  readonly launcher: ILauncher | null;
  readonly palette: ICommandPalette | null;
}

/** Add the command that asks for a new session, and the launcher's section. */
export function addStarting(context: IContext): void {
  const { app, trans, launcher, palette } = context;
  app.commands.addCommand(CommandIDs.create, {
    label: args => (args['isLauncher'] ? trans.__('New Session…') : trans.__('New Remote Session…')),
    caption: trans.__('Start a session with limits of your choice, and open a notebook on it'),
    icon: addIcon,
    execute: () => ask(context)
  });
  const item = { category: trans.__('Remote'), categoryRank: CATEGORY_RANK };
  launcher?.add({ ...item, command: CommandIDs.create, args: { isLauncher: true }, rank: 1000 });
  palette?.addItem({ command: CommandIDs.create, category: trans.__('Remote Sessions') });
  app.commands.addCommand(CommandIDs.createPreset, {
    label: args => String(args['title'] ?? ''),
    caption: args => String(args['description'] ?? ''),
    icon: sessionIcon,
    execute: ({ kernelName, cwd }) =>
      app.commands.execute('notebook:create-new', { kernelName: kernelName ?? '', cwd: cwd ?? '' })
  });
  void app.started.then(() => addCards(context, item));
}

/** Add a card for each preset that launchers show. */
async function addCards(
  { api, app, launcher }: IContext,
  item: { category: string; categoryRank: number }
): Promise<void> {
  if (launcher === null) {
    return;
  }
  const offers = await api.offers().catch(() => []); // what is wrong is said elsewhere
  await app.serviceManager.kernelspecs.ready;
  const specs = app.serviceManager.kernelspecs.specs?.kernelspecs;
  offers
    .filter(offer => offer.listed)
    .forEach(({ kernelName, title, description }, rank) => {
      const icons = specs?.[kernelName]?.resources ?? {};
      launcher.add({
        ...item,
        command: CommandIDs.createPreset,
        args: { kernelName, title, description },
        kernelIconUrl: icons['logo-svg'] || icons['logo-64x64'] || '',
        rank
      });
    });
}

/** Ask what the session is to be until it makes sense or is given up; then start it. */
async function ask(context: IContext): Promise<void> {
  const { api, trans } = context;
  const offers = await api.offers().catch((error: unknown) => {
    tell(error);
    return [];
  });
  if (offers.length === 0) {
    const health = await api.health().catch(() => null);
    Notification.warning(health?.reason || trans.__('The server offers nothing to start.'));
    return;
  }
  for (;;) {
    const body = new SessionForm(offers, '', trans);
    const answer = await showDialog({
      title: trans.__('New remote session'),
      body,
      buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Start') })]
    });
    if (!answer.button.accept) {
      return;
    }
    if (answer.value !== null) {
      await start(context, answer.value);
      return;
    }
  }
}

/** Start a session, and open a notebook on its kernel once it runs. */
async function start({ app, api, sessions }: IContext, wish: IWish): Promise<void> {
  try {
    const id = await api.create(wish);
    await sessions.refresh();
    const session = await settled(sessions, id);
    if (session?.status === 'RUNNING' && session.kernel !== '') {
      await app.serviceManager.kernels.refreshRunning();
      await app.commands.execute('notebook:create-new', { kernelId: id });
    } // why one failed is said by the notices of starts
  } catch (error) {
    tell(error);
  }
}

/** Resolve when a session no longer starts; undefined when it ended. */
function settled(sessions: Sessions, id: string): Promise<ISession | undefined> {
  return new Promise(resolve => {
    const look = () => {
      const session = sessions.find(id);
      if (session === undefined || !STARTING.has(session.status)) {
        sessions.changed.disconnect(look);
        resolve(session);
      }
    };
    sessions.changed.connect(look);
    look();
  });
}

function tell(error: unknown): void {
  Notification.error(error instanceof Error ? error.message : String(error), { autoClose: false });
}
