// Benthos with the components that the comparison needs: go build -o DIRECTORY_ON_PATH/benthos .
package main

import (
	"context"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
)

func main() { service.RunCLI(context.Background()) }
