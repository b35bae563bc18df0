/** Which session a command is for. */

import { InputDialog } from '@jupyterlab/apputils';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { ISession } from '../tokens';
import { statusWord } from '../words';
import type { IContext } from './context';

type Choice = Pick<IContext, 'sessions' | 'front' | 'trans'>;
type Fits = (session: ISession) => boolean;

/** The session that a command names, or else that of the page in front; null for neither. */
export function meant(
  { sessions, front }: Choice,
  args: ReadonlyPartialJSONObject
): ISession | null {
  const id = typeof args['id'] === 'string' ? args['id'] : front.session;
  const all = [...sessions.live, ...sessions.ended];
  return all.find(one => one.id === id) ?? null;
}

/** Sessions that a command can be for: the one that is meant, or any that it fits. */
export function candidates(
  choice: Choice,
  args: ReadonlyPartialJSONObject,
  fits: Fits
): readonly ISession[] {
  const one = meant(choice, args);
  if (one !== null && fits(one)) {
    return [one];
  }
  return typeof args['id'] === 'string' ? [] : choice.sessions.live.filter(fits);
}

/** The session that a command is for; asks which when there are several. Null: none. */
export async function chosen(
  choice: Choice,
  args: ReadonlyPartialJSONObject,
  fits: Fits,
  title: string
): Promise<ISession | null> {
  const found = candidates(choice, args, fits);
  if (found.length < 2) {
    return found[0] ?? null;
  }
  const { trans } = choice;
  const names = found.map(one => `${one.name} · ${statusWord(one, trans)}`);
  const answer = await InputDialog.getItem({
    title,
    label: trans.__('Which session?'),
    items: names
  });
  return answer.button.accept ? (found[names.indexOf(answer.value ?? '')] ?? null) : null;
}
