/** Starts sessions: by a card of the launcher, or by the form. */

import type { ICommandPalette } from '@jupyterlab/apputils';
import type { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import type { ILauncher } from '@jupyterlab/launcher';
import { addIcon } from '@jupyterlab/ui-components';

import {
  folderOf,
  hasConsoles,
  IKernelChoice,
  openConsole,
  openNotebook
} from '../actions/opening';
import { CommandIDs } from '../commands';
import { sessionIcon } from '../icons';
import { say } from '../notices/say';
import type { Sessions } from '../sessions';
import { isStarting, isUsable } from '../states';
import type { ISession } from '../tokens';
import { sayError } from '../words';
import { askForSession, IMade, INeeds } from './asking';
import { Choices } from './choices';
import type { Opening } from './fields';
import { isRemote, nameRemoteKernels } from './picker';

/** Milliseconds after which a start is looked at that nothing was heard of. */
const SILENCE = 3000;

/** What the commands work with. */
interface IContext extends INeeds {
  readonly sessions: Sessions;
  readonly launcher: ILauncher | null;
  readonly palette: ICommandPalette | null;
  readonly files: IDefaultFileBrowser | null;
}

/**
 * Add the commands that start sessions, what offers them, and names for JupyterLab's picker.
 *
 * Returns what offers them.
 */
export function addStarting(context: IContext): Choices {
  const { app, sessions, settings, trans, palette, files } = context;
  let isAsked = false; // a second click, while the form comes, is no second wish
  app.commands.addCommand(CommandIDs.create, {
    label: args => (args['isLauncher'] ? trans.__('New Session…') : trans.__('New Remote Session…')),
    caption: trans.__('Start a session with limits of your choice, and open a notebook on it'),
    icon: addIcon,
    execute: async args => {
      if (!isAsked) {
        isAsked = true;
        const folder = folderOf(files, args);
        const made = await askForSession(context, folder).finally(() => (isAsked = false));
        await (made && openMade(context, made, folder));
      }
    }
  });
  app.commands.addCommand(CommandIDs.createPreset, {
    label: args => {
      const title = String(args['title'] ?? '');
      return args['isPalette'] ? trans.__('New Remote Session: %1', title) : title;
    },
    caption: args => String(args['description'] ?? ''),
    icon: sessionIcon,
    execute: args => {
      const kernel = { name: String(args['kernelName'] ?? '') };
      return open(context, settings.now.openWith, kernel, folderOf(files, args));
    }
  });
  palette?.addItem({ command: CommandIDs.create, category: trans.__('Remote Sessions') });
  const specs = app.serviceManager.kernelspecs;
  nameRemoteKernels(sessions, name => isRemote(specs.specs?.kernelspecs[name]), trans);
  return new Choices(context);
}

/** Open what is wanted on a session as soon as it runs. */
async function openMade(context: IContext, { id, opening }: IMade, folder: string): Promise<void> {
  const session = await settled(context, id);
  if (session === null || !isUsable(session)) {
    return; // why one failed is said by the notices of starts
  }
  try {
    await context.app.serviceManager.kernels.refreshRunning();
    await open(context, opening, { id }, folder);
  } catch (error) {
    say(sayError(error, context.trans), 'error', context.trans);
  }
}

/** Open what is wanted on a kernel: one that runs, or a new one. */
async function open(
  { app }: IContext,
  opening: Opening,
  kernel: IKernelChoice,
  cwd: string
): Promise<void> {
  if (opening === 'notebook' || (opening === 'console' && !hasConsoles(app))) {
    await openNotebook(app, kernel, cwd);
  } else if (opening === 'console') {
    await openConsole(app, kernel, cwd);
  }
}

/** Resolve when a session no longer starts; null when it is gone. */
async function settled({ api, sessions }: IContext, id: string): Promise<ISession | null> {
  for (;;) {
    const listed = sessions.find(id);
    const hasSettled = listed !== undefined && !isStarting(listed);
    const session = hasSettled ? listed : await api.session(id).catch(() => undefined);
    if (session === null || (session !== undefined && !isStarting(session))) {
      return session;
    }
    await changed(sessions, SILENCE);
  }
}

/** Resolve when the list changes, or after some milliseconds. */
function changed(sessions: Sessions, milliseconds: number): Promise<void> {
  return new Promise(resolve => {
    const once = () => {
      window.clearTimeout(timer);
      sessions.changed.disconnect(once);
      resolve();
    };
    const timer = window.setTimeout(once, milliseconds);
    sessions.changed.connect(once);
  });
}
