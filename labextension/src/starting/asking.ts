/** Asks what a new session is to be, and asks the server for it. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog } from '@jupyterlab/apputils';
import type { IStateDB } from '@jupyterlab/statedb';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { Api, Refusal } from '../api';
import { say } from '../notices/say';
import type { Settings } from '../settings';
import { sayError } from '../words';
import { AskingDialog } from './dialog';
import { firstFields, IFields, lasting, Opening, readWish } from './fields';
import { SessionForm } from './form';
import { FormModel } from './model';

/** Where the state database keeps what was chosen last. */
const LAST = 'jupyter-sessmgr:last-choices';

/** What the form works with. */
export interface INeeds {
  readonly app: JupyterFrontEnd;
  readonly api: Api;
  readonly settings: Settings;
  readonly trans: TranslationBundle;
  readonly state: IStateDB | null;
}

/** A session that was asked for. */
export interface IMade {
  readonly id: string;
  /** What is to be opened on it. */
  readonly opening: Opening;
}

/** Show the form until the server has taken what was entered; null: given up, or not possible. */
export async function askForSession(needs: INeeds, folder: string): Promise<IMade | null> {
  const { api, trans } = needs;
  const model = await makeModel(needs, folder).catch(error => {
    say(sayError(error, trans), 'error', trans);
    return null;
  });
  if (model === null) {
    return null;
  }
  if (model.limits.presets.length === 0) {
    const health = await api.health().catch(() => null);
    say(health?.reason || trans.__('The server offers nothing to start.'), 'warning', trans);
    return null;
  }
  const id = await fillIn(needs, model);
  if (id === '') {
    return null;
  }
  await remember(needs, model.fields);
  return { id, opening: model.fields.opening };
}

/** Have a person fill in the form; resolves to the id of what was made, "" when given up. */
async function fillIn(needs: INeeds, model: FormModel): Promise<string> {
  const { api, trans } = needs;
  let made = '';
  const submit = async () => {
    made = await create(needs, model);
    if (made !== '' && dialog.isDisposed) {
      await api.destroy(made).catch(() => undefined); // given up meanwhile; the list shows what is left
      made = '';
    }
    return made !== '';
  };
  const regroup = (group: string) => chooseGroup(needs, model, group);
  const dialog = new AskingDialog(
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
  return answer.button.accept ? made : '';
}

async function makeModel(needs: INeeds, folder: string): Promise<FormModel> {
  const { app, api, settings, state, trans } = needs;
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

/** Take over another group's limits; of several that were chosen quickly, the last one's. */
async function chooseGroup({ api, trans }: INeeds, model: FormModel, group: string): Promise<void> {
  model.set({ group });
  try {
    const limits = await api.limits(group);
    if (model.fields.group === group) {
      model.limits = limits;
    }
  } catch (error) {
    model.set({ group: model.limits.group });
    model.refuse(sayError(error, trans), 'group');
  }
}

/** Ask the server for what was entered; "" when it refused, and the form says why. */
async function create({ api, trans }: INeeds, model: FormModel): Promise<string> {
  model.ask();
  try {
    return await api.create(readWish(model.fields, model.workdir));
  } catch (error) {
    model.refuse(sayError(error, trans), error instanceof Refusal ? error.field : '');
    return '';
  }
}

async function remember({ state }: INeeds, fields: IFields): Promise<void> {
  await state?.save(LAST, lasting(fields) as ReadonlyPartialJSONObject).catch(() => undefined);
}
