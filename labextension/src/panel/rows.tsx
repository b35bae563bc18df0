/** A list of sessions, of any length: draws what can be seen of it. */

import React, { useLayoutEffect, useRef, useState } from 'react';

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

/** Draw a list of which each row says its place. */
export function Rows(props: IProps): JSX.Element {
  const { label, none, sessions, row } = props;
  const list = useRef<HTMLUListElement>(null);
  const [chosen, choose] = useState('');
  const { first, end, height } = useWindow(list, sessions.length, '.jp-sessmgr-panel');
  const hold = useFocus(list, sessions, chosen);
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
      onFocus={() => hold(true)}
      onBlur={() => hold(false)}
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

/**
 * Keep the focus in a list: when the chosen row goes, the one that takes its place gets it.
 *
 * Returns what is to be told whether the list has the focus.
 */
function useFocus(
  list: React.RefObject<HTMLElement>,
  sessions: readonly ISession[],
  chosen: string
): (has: boolean) => void {
  const has = useRef(false);
  const place = useRef(0);
  useLayoutEffect(() => {
    const index = sessions.findIndex(({ id }) => id === chosen);
    if (index >= 0) {
      place.current = index + 1;
    } else if (has.current && list.current !== null) {
      rowAt(list.current, Math.min(place.current, sessions.length))?.focus();
    }
  }, [sessions, chosen]);
  return now => {
    has.current = now;
  };
}

function rowAt(list: HTMLElement, place: number): HTMLElement | null {
  return list.querySelector<HTMLElement>(`[aria-posinset="${place}"]`);
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
      rowAt(list, place)?.focus();
    })
  );
}
