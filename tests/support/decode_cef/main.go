// Reads lines of CEF from standard input and prints, as one JSON object per line, what Elastic's decode_cef
// processor reads in each: header fields, extension fields with the type it converts them to, and errors.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"

	"github.com/elastic/beats/v7/x-pack/filebeat/processors/decode_cef/cef"
	"go.uber.org/multierr"
)

type decoded struct {
	cef.Event
	Errors []string `json:"errors"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	output := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		result := decoded{Errors: []string{}}
		for _, err := range multierr.Errors(result.Unpack(lines.Text())) {
			result.Errors = append(result.Errors, err.Error())
		}
		if err := output.Encode(result); err != nil {
			log.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
