/** A list of sessions, of any length: draws what can be seen of it. */

import React, { useRef, useState } from 'react';

import type { ISession } from '../tokens';
import type { ISeat } from './row';
import { useWindow } from './window';

interface IProps {
  readonly label: string;
  /** What is said where there are no sessions. */
  readonly none: string;
  readonly sessions: readonly ISession[];
  /** Draws one. */
  readonly row: (session: ISession, seat: ISeat) => JSX.Element;
}

export function Rows(props: IProps): JSX.Element {
  const { label, none, sessions, row } = props;
  const list = useRef<HTMLUListElement>(null);
  const [chosen, choose] = useState('');
  const { first, end, height } = useWindow(list, sessions.length, '.jp-sessmgr-panel');
  if (sessions.length === 0) {
    return <p className="jp-sessmgr-none">{none}</p>;
  }
  const drawn = sessions.slice(first, end);
  const stop = drawn.some(({ id }) => id === chosen) ? chosen : drawn[0]?.id;
  const around = { paddingTop: first * height, paddingBottom: (sessions.length - end) * height };
  return (
    <ul
      className="jp-sessmgr-rows"
      aria-label={label}
      ref={list}
      style={around}
      onKeyDown={event => toEnds(event, sessions.length)}
    >
      {drawn.map((session, index) =>
        row(session, {
          place: first + index + 1,
          of: sessions.length,
          isStop: session.id === stop,
          choose
        })
      )}
    </ul>
  );
}

/** Go to the first or the last row, which may have to be drawn first. */
function toEnds(event: React.KeyboardEvent<HTMLUListElement>, count: number): void {
  const last = event.key === 'End';
  if (!(last || event.key === 'Home') || !(event.target instanceof HTMLLIElement)) {
    return;
  }
  event.preventDefault();
  const list = event.currentTarget;
  list.scrollIntoView({ block: last ? 'end' : 'start' });
  const place = last ? count : 1;
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      list.querySelector<HTMLElement>(`[aria-posinset="${place}"]`)?.focus();
    })
  );
}
