/** The names of remote kernels and sessions in the dialog that chooses a notebook's kernel. */

import { SessionContextDialogs } from '@jupyterlab/apputils';
import type { KernelSpec } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Sessions } from '../sessions';
import { isUsable } from '../states';
import type { ISession } from '../tokens';
import { shortImage, statusWord } from '../words';

const PROVISIONER = 'sessmgr-provisioner';

type Options = ReturnType<typeof SessionContextDialogs.kernelOptions>;
type Group = Options['groups'][number];
type Option = Group['options'][number];

/** Tell whether kernels of a kernelspec run in sessions. */
export function isRemote(spec: KernelSpec.ISpecModel | undefined): boolean {
  const provisioner = spec?.metadata?.['kernel_provisioner'] as { provisioner_name?: unknown };
  return provisioner?.provisioner_name === PROVISIONER;
}

/** Have the dialog name what is remote, and list sessions by their names. */
export function nameRemoteKernels(
  sessions: Sessions,
  isRemoteName: (kernelName: string) => boolean,
  trans: TranslationBundle
): void {
  const usual = SessionContextDialogs.kernelOptions;
  // The dialogs of JupyterLab and Notebook ask this function for what they list.
  Reflect.set(SessionContextDialogs, 'kernelOptions', (...args: Parameters<typeof usual>) => {
    const options = usual(...args);
    return options.disabled ? options : regroup(options, sessions.live, isRemoteName, trans);
  });
}

/** Put remote kernels and sessions into groups of their own. Pure. */
export function regroup(
  options: Options,
  sessions: readonly ISession[],
  isRemoteName: (kernelName: string) => boolean,
  trans: TranslationBundle
): Options {
  const named: Option[] = [];
  const running = new Map<string, Option>();
  const others = options.groups.map(group => ({
    ...group,
    options: group.options.filter(option => {
      const { name, id } = (JSON.parse(option.value ?? 'null') ?? {}) as Record<string, string>;
      if (id !== undefined && sessions.some(one => one.id === id)) {
        running.set(id, option);
      } else if (name !== undefined && isRemoteName(name)) {
        named.push(option);
      } else {
        return true;
      }
      return false;
    })
  }));
  const usable = sessions.filter(
    one => isUsable(one) || (one.kernel !== '' && running.has(one.id))
  );
  const found: Group[] = [
    { label: trans.__('Start Remote Kernel'), options: named },
    {
      label: trans.__('Connect to Remote Session'),
      options: usable.map(one => sessionOption(one, running.get(one.id), trans))
    }
  ];
  const [first, ...rest] = others;
  return {
    ...options,
    groups: [...(first ? [first] : []), ...found, ...rest].filter(({ options }) => options.length > 0)
  };
}

function sessionOption(session: ISession, known: Option | undefined, trans: TranslationBundle): Option {
  const image = shortImage(session.image);
  const about = [session.preset, statusWord(session, trans)].filter(Boolean).join(', ');
  return {
    ...known,
    text: `${session.name} (${about})`,
    title: known?.title ?? trans.__('Session %1 of the image %2', session.name, image),
    value: JSON.stringify({ id: session.id })
  };
}
