package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPaperTextIsACopy(t *testing.T) {
	want, err := os.ReadFile("../../testdata/paper.json")
	require.NoError(t, err)
	require.Equal(t, string(want), string(paperText), "copy testdata/paper.json here")
}

func checkPaper(t *testing.T, rows []paperRow) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := checkRows(&session{stdout: &out, now: time.Now}, rows, false)
	return out.String(), err
}

// A count that is wrong by one, or rounds to another figure, is told and makes the
// command fail; a known slip does not.
func TestCountsThatDiffer(t *testing.T) {
	row := paperRow{table: "4", network: "WRN-16-8", text: "model WRN-16-8", exact: 10961370, millions: 11.0}
	out, err := checkPaper(t, []paperRow{row})
	require.NoError(t, err)
	require.Contains(t, out, "10,961,370   11.0M  agrees\n")

	wrong := row
	wrong.exact++
	out, err = checkPaper(t, []paperRow{row, wrong})
	require.EqualError(t, err, "1 of 2 counts differ from the paper's")
	require.Contains(t, out, "DIFFERS: the exact count is 10,961,371\n")
	require.Contains(t, out, "2 networks counted: 1 differ; 0 figures of the paper are slips\n")

	rounded := row
	rounded.millions = 10.9
	out, err = checkPaper(t, []paperRow{rounded})
	require.Error(t, err)
	require.Contains(t, out, "DIFFERS: rounds to 11M\n")

	rounded.slip = "known"
	out, err = checkPaper(t, []paperRow{rounded})
	require.NoError(t, err)
	require.Contains(t, out, "a slip of the paper: known\n")

	rounded.exact++
	_, err = checkPaper(t, []paperRow{rounded})
	require.Error(t, err, "a slip of the paper excuses no count of ours")
}

func TestPaperRowsOfABrokenTable(t *testing.T) {
	_, err := paperRows([]byte("{"))
	require.Error(t, err)
}
