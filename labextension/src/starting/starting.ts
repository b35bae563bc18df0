/** Starts sessions: by a card of the launcher, or by the form. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, ICommandPalette } from '@jupyterlab/apputils';
import type { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import type { ILauncher } from '@jupyterlab/launcher';
import type { IStateDB } from '@jupyterlab/statedb';
import type { TranslationBundle } from '@jupyterlab/translation';
import { addIcon } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { Api, Refusal } from '../api';
import { CommandIDs } from '../commands';
import { sessionIcon } from '../icons';
import { folderOf, openNotebook } from '../opening';
import type { Sessions } from '../sessions';
import type { Settings } from '../settings';
import { ISession, STARTING } from '../tokens';
import { say } from '../notices/say';
import { sayError } from '../words';
import { Cards } from './cards';
import { AskingDialog } from './dialog';
import { firstFields, IFields, lasting, Opening, readWish } from './fields';
import { SessionForm } from './form';
import { FormModel } from './model';
import { isRemote, nameRemoteKernels } from './picker';

/** Where the state database keeps what was chosen last. */
const LAST = 'jupyter-sessmgr:last-choices';

/** What the commands work with. */
interface IContext {
  readonly app: JupyterFrontEnd;
  readonly api: Api;
  readonly sessions: Sessions;
  readonly settings: Settings;
  readonly trans: TranslationBundle;
  readonly launcher: ILauncher | null;
  readonly palette: ICommandPalette | null;
  readonly state: IStateDB | null;
  readonly files: IDefaultFileBrowser | null;
}

/**
 * Add the commands that start sessions, the launcher's section, and names for JupyterLab's picker.
 *
 * Returns that section, where there is a launcher.
 */
export function addStarting(context: IContext): Cards | null {
  const { app, api, sessions, settings, trans, launcher, palette, files } = context;
  app.commands.addCommand(CommandIDs.create, {
    label: args => (args['isLauncher'] ? trans.__('New Session…') : trans.__('New Remote Session…')),
    caption: trans.__('Start a session with limits of your choice, and open a notebook on it'),
    icon: addIcon,
    execute: args => ask(context, folderOf(files, args))
  });
  app.commands.addCommand(CommandIDs.createPreset, {
    label: args => String(args['title'] ?? ''),
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
  return launcher === null ? null : new Cards(app, api, launcher, settings, trans);
}

/** Ask what the session is to be; then start it, and open what is wanted on it. */
async function ask(context: IContext, folder: string): Promise<void> {
  const { app, api, trans } = context;
  const model = await makeModel(context, folder).catch(error => {
    say(sayError(error, trans), 'error', trans);
    return null;
  });
  if (model === null) {
    return;
  }
  if (model.limits.presets.length === 0) {
    const health = await api.health().catch(() => null);
    say(health?.reason || trans.__('The server offers nothing to start.'), 'warning', trans);
    return;
  }
  const regroup = (group: string) =>
    void api.limits(group).then(
      limits => {
        model.limits = limits;
      },
      (error: unknown) => model.refuse(sayError(error, trans))
    );
  let made = '';
  let dialog: AskingDialog | null = null;
  const submit = async () => {
    made = await create(context, model);
    if (made !== '' && dialog?.isDisposed) {
      await api.destroy(made).catch(() => undefined); // given up meanwhile; the list shows what is left
      made = '';
    }
    return made !== '';
  };
  dialog = new AskingDialog(
    {
      title: trans.__('New remote session'),
      body: new SessionForm({ model, trans, regroup }),
      buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Start') })],
      focusNodeSelector: 'select'
    },
    submit,
    trans.__('Starting…')
  );
  const answer = await dialog.launch();
  if (answer.button.accept && made !== '') {
    await remember(context, model.fields);
    const session = await settled(context, made);
    if (session !== null && isUsable(session)) {
      try {
        await app.serviceManager.kernels.refreshRunning();
        await open(context, model.fields.opening, { id: made }, folder);
      } catch (error) {
        say(sayError(error, trans), 'error', trans);
      }
    } // why one failed is said by the notices of starts
  }
}

async function makeModel(context: IContext, folder: string): Promise<FormModel> {
  const { app, api, settings, state, trans } = context;
  const [limits, last] = await Promise.all([
    api.limits(''),
    state?.fetch(LAST).catch(() => undefined) ?? undefined
  ]);
  const { defaultPreset, openWith } = settings.now;
  const fields = firstFields(limits, (last ?? {}) as Partial<IFields>, defaultPreset, openWith);
  const { contents } = app.serviceManager;
  const here = contents.driveName(folder) === '' ? contents.localPath(folder) : null;
  return new FormModel(limits, fields, here, trans);
}

/** Ask the server for what was entered; "" when it refused, and the form says why. */
async function create({ api, trans }: IContext, model: FormModel): Promise<string> {
  model.ask();
  try {
    return await api.create(readWish(model.fields, model.workdir));
  } catch (error) {
    model.refuse(sayError(error, trans), error instanceof Refusal ? error.field : '');
    return '';
  }
}

async function remember({ state }: IContext, fields: IFields): Promise<void> {
  await state?.save(LAST, lasting(fields) as ReadonlyPartialJSONObject).catch(() => undefined);
}

/** Open something on a kernel: one that runs, or a new one. */
async function open(
  { app }: IContext,
  opening: Opening,
  kernel: { readonly id?: string; readonly name?: string },
  cwd: string
): Promise<void> {
  if (opening === 'notebook') {
    const { id, name } = kernel;
    await (id === undefined
      ? app.commands.execute('notebook:create-new', { cwd, kernelName: name ?? '' })
      : openNotebook(app, id, cwd));
  } else if (opening === 'console') {
    await app.commands.execute('console:create', { cwd, kernelPreference: { ...kernel } });
  }
}

function isUsable(session: ISession): boolean {
  return session.kernel !== '' && ['RUNNING', 'SUSPENDED'].includes(session.status);
}

/** Resolve when a session no longer starts; null when it is gone. */
async function settled({ api, sessions }: IContext, id: string): Promise<ISession | null> {
  for (;;) {
    const session = sessions.find(id) ?? (await api.session(id).catch(() => undefined));
    if (session !== undefined && !(session !== null && STARTING.has(session.status))) {
      return session;
    }
    await new Promise<void>(resolve => {
      const once = () => {
        sessions.changed.disconnect(once);
        resolve();
      };
      sessions.changed.connect(once);
    });
  }
}
